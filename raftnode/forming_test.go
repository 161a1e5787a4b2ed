package raftnode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

func TestTwoOfThreeFormNoLedger(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.start("a", "b")
		time.Sleep(time.Minute)
		for _, name := range []string{"a", "b"} {
			s := c.nodes[name].Status()
			if s.State != Forming || s.Quorum || s.Ledger != "" || !strings.Contains(s.Problem, "waiting for c") {
				t.Errorf("%s without c: %+v", name, s)
			}
		}
		if _, err := c.try(arbiter.Register{Boot: boot("a")}, time.Second); err == nil {
			t.Error("a proposal was agreed without a ledger")
		}
		c.start("c")
		c.propose(arbiter.Register{Boot: boot("a")})
		ledgers := map[string]bool{}
		for _, n := range c.nodes {
			ledgers[n.Status().Ledger] = true
		}
		if len(ledgers) != 1 || ledgers[""] {
			t.Errorf("ledgers %v: one is wanted", ledgers)
		}
	})
}

// A node that pledged keeps its word even when a peer comes back with another disk, so no two
// nodes can form different ledgers.
func TestADiskReplacedWhileFormingStopsTheForming(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		// All three had pledged when the power failed, and c's disk didn't survive it.
		stores := map[string]*store{}
		var ids []string
		for _, name := range []string{"a", "b", "c"} {
			s, err := openStore(filepath.Join(c.dir, name), name, "orders", c.log)
			if err != nil {
				t.Fatal(err)
			}
			stores[name], ids = s, append(ids, string(s.id()))
		}
		for _, s := range stores {
			if err := errors.Join(s.setPledge(ids), s.close()); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(filepath.Join(c.dir, "c")); err != nil {
			t.Fatal(err)
		}
		c.startAll()
		time.Sleep(time.Minute)
		for name, n := range c.nodes {
			if s := n.Status(); s.Ledger != "" || s.State != Forming {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if p := c.nodes["a"].Status().Problem; !strings.Contains(p, "move the raft directory away") {
			t.Errorf("no way out is told: %q", p)
		}
		for _, name := range []string{"a", "b", "c"} {
			c.stop(name)
			if err := os.RemoveAll(filepath.Join(c.dir, name, "raft")); err != nil {
				t.Fatal(err)
			}
		}
		c.startAll()
		c.propose(arbiter.Register{Boot: boot("c")})
	})
}

func TestFormingResumesAfterAPowerCut(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.until("a ledger at a", time.Second, func() bool { return c.nodes["a"].currentRaft() != nil })
		for _, name := range []string{"a", "b", "c"} {
			c.crash(name)
		}
		c.startAll()
		c.propose(arbiter.Register{Boot: boot("b")})
	})
}

func TestFilesThatDifferFormNoLedger(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.start("a", "b")
		c.peers = append(c.peers, Peer{Name: "d", Address: "d:7420"})
		c.start("c")
		time.Sleep(10 * time.Second)
		if s := c.nodes["a"].Status(); s.Ledger != "" || !strings.Contains(s.Problem, "use the same file on every node") {
			t.Errorf("a: %+v", s)
		}
	})
}

func TestALostDiskIsReadmittedAndDoesNotVoteBefore(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, lost := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(leader)})
		old := c.nodes[lost].Status().Disk
		c.crash(lost)
		third := other(c, leader, lost)
		c.crash(third)
		if err := os.RemoveAll(filepath.Join(c.dir, lost)); err != nil {
			t.Fatal(err)
		}
		// With the third away, the old leader and a forgetful voter must not make a quorum.
		c.start(lost)
		time.Sleep(20 * time.Second)
		s := c.nodes[lost].Status()
		if s.State != Lost || s.Admitted || s.Quorum || !strings.Contains(s.Problem, "another disk") {
			t.Errorf("without a majority of the others: %+v", s)
		}
		if r, err := c.try(arbiter.Beat{Boot: boot(leader)}, time.Second); err == nil {
			t.Errorf("a voter without its disk was counted: %v", r)
		}

		c.start(third)
		last := c.propose(arbiter.Beat{Boot: boot(leader)})
		c.until("the lost node a voter again", 10*time.Second, func() bool {
			s := c.nodes[lost].Status()
			return s.Admitted && s.State == Follower && s.Problem == ""
		})
		s = c.nodes[lost].Status()
		if s.Disk == old {
			t.Errorf("the new disk has the old id %s", old)
		}
		for name, n := range c.nodes {
			if v := n.Status().Voters; !slices.Equal(v, []string{"a", "b", "c"}) {
				t.Errorf("%s knows the voters %v", name, v)
			}
			for _, srv := range n.currentRaft().GetConfiguration().Configuration().Servers {
				if string(srv.ID) == old {
					t.Errorf("%s still lists the lost disk", name)
				}
			}
		}
		// It counts again, and has the ledger.
		c.crash(third)
		got := c.propose(arbiter.Beat{Boot: boot(leader)})
		if got.Nodes[leader].Beat != last.Nodes[leader].Beat+1 {
			t.Errorf("beat %d after %d", got.Nodes[leader].Beat, last.Nodes[leader].Beat)
		}
		c.until("the ledger on the new disk", time.Second, func() bool {
			return cmp.Equal(c.nodes[lost].fsm.current(), got)
		})
	})
}

func TestADiskOfAnotherClusterIsToldApart(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.propose(arbiter.Register{Boot: boot("a")})
		c.crash("a")
		s, err := openStore(filepath.Join(c.dir, "a"), "a", "orders", c.log)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.setLedger("0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		c.start("a")
		c.until("the mix-up told", 10*time.Second, func() bool {
			return strings.Contains(c.nodes["a"].Status().Problem, "has the state of another cluster")
		})
		c.propose(arbiter.Register{Boot: boot("b")})
	})
}

func TestAStateDirectoryIsNobodyElses(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, "a", "orders", newCluster(t).log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(dir, "a", "orders", newCluster(t).log); err == nil || !strings.Contains(err.Error(), "another daemon uses it") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	for _, as := range [][2]string{{"b", "orders"}, {"a", "billing"}} {
		if _, err := openStore(dir, as[0], as[1], newCluster(t).log); err == nil || !strings.Contains(err.Error(), "belongs to node a of cluster orders") {
			t.Errorf("opened as %v: %v", as, err)
		}
	}
	again, err := openStore(dir, "a", "orders", newCluster(t).log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.id() != s.id() {
		t.Errorf("the disk's id changed from %s to %s", s.id(), again.id())
	}
}

// snapshotNow makes a node write a snapshot and forget the log before it.
func snapshotNow(t *testing.T, n *Node) {
	t.Helper()
	r := n.currentRaft()
	rc := r.ReloadableConfig()
	rc.TrailingLogs = 1
	if err := r.ReloadConfig(rc); err != nil {
		t.Fatal(err)
	}
	if err := r.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotsRestoreANodeAndFeedANewDisk(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, lost := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(leader)})
		var last arbiter.Record
		for range 20 {
			last = c.propose(arbiter.Beat{Boot: boot(leader)})
		}
		for _, n := range c.nodes {
			c.until("all entries everywhere", time.Second, func() bool { return n.fsm.current().Index == last.Index })
			snapshotNow(t, n)
		}
		c.crash(lost)
		if err := os.RemoveAll(filepath.Join(c.dir, lost)); err != nil {
			t.Fatal(err)
		}
		c.start(lost)
		c.until("the new disk admitted", 10*time.Second, func() bool { return c.nodes[lost].Status().Admitted })
		if got := c.nodes[lost].fsm.current(); got.Nodes[leader] != last.Nodes[leader] {
			t.Errorf("from a snapshot came %+v, not %+v", got, last)
		}

		c.crash(leader)
		c.start(leader)
		got := c.propose(arbiter.Beat{Boot: boot(leader)})
		if want := last.Nodes[leader].Beat + 1; got.Nodes[leader].Beat != want {
			t.Errorf("after a restart from a snapshot the beat is %d, not %d", got.Nodes[leader].Beat, want)
		}
	})
}

func TestALogWithoutItsSnapshotIsRefused(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		name := c.follower()
		c.propose(arbiter.Register{Boot: boot(name)})
		for range 5 {
			c.propose(arbiter.Beat{Boot: boot(name)})
		}
		snapshotNow(t, c.nodes[name])
		c.crash(name)
		if err := os.RemoveAll(filepath.Join(c.dir, name, "raft", "snapshots")); err != nil {
			t.Fatal(err)
		}
		_, err := Start(context.Background(), c.options(name))
		if err == nil || !strings.Contains(err.Error(), "snapshot before it is missing") || !strings.Contains(err.Error(), "move that directory away") {
			t.Errorf("start without the snapshot: %v", err)
		}
	})
}

// A raft id is a name and a disk; a stream meant for a former disk is not for the new one.
func TestAStreamForAFormerDiskIsRefused(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, other := c.leader(), c.follower()
		conn, err := c.nodes[leader].port.dial(t.Context(), wire.KindRaft, other+"/former")
		if err == nil {
			conn.Close()
			t.Fatal("a stream to a former disk was accepted")
		}
		if !strings.Contains(err.Error(), "not "+other+"/former") {
			t.Error(err)
		}
	})
}

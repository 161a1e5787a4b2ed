package raftnode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// imported ends a cluster with a holder, and starts a again with an imported ledger.
func imported(t *testing.T, c *cluster) arbiter.Record {
	t.Helper()
	c.startAll()
	c.leader()
	for _, name := range []string{"a", "b", "c"} {
		c.propose(arbiter.Register{Boot: boot(name)})
	}
	backup := c.propose(arbiter.Take{Group: "mysql", Boot: boot("b"), Protection: arbiter.ProtectFence})
	for _, name := range []string{"a", "b", "c"} {
		c.stop(name)
	}
	former, err := Import(filepath.Join(c.dir, "a"), "a", "orders", arbiter.Restored(backup))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(former, "raft.db")); err != nil {
		t.Errorf("the former disk: %v", err)
	}
	c.start("a")
	return backup
}

func TestAnImportedLedgerActsWithAMajorityOfTheFile(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		backup := imported(t, c)
		time.Sleep(20 * time.Second)
		if s := c.nodes["a"].Status(); s.State != Leader || s.Quorum || !strings.Contains(s.Problem, "agrees to nothing until 2 of the file's nodes vote in it") {
			t.Errorf("alone: %+v", s)
		}
		if _, err := c.try(arbiter.Register{Boot: boot("a")}, 5*time.Second); err == nil {
			t.Error("it agreed alone")
		}
		if err := os.RemoveAll(filepath.Join(c.dir, "b")); err != nil {
			t.Fatal(err)
		}
		c.start("b")
		c.until("b waits", 10*time.Second, func() bool { return c.nodes["b"].Status().State == Unlisted })
		if m, err := c.add("b", "b"); err != nil || len(m.Voters) != 2 {
			t.Fatalf("%+v, %v", m, err)
		}
		got := c.propose(arbiter.Beat{Boot: boot("b")})
		g := got.Groups["mysql"]
		if g.Epoch != 1+1<<32 || !g.Holder.IsZero() || g.Suspect != boot("b") || got.Index <= backup.Index {
			t.Errorf("the restored ledger is %+v", got)
		}
	})
}

// The others may come back with the disks of the former ledger: they have a majority there, and the
// imported one has none.
func TestAnImportedLedgerDoesNotActBesideTheFormer(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		imported(t, c)
		c.start("b", "c")
		c.propose(arbiter.Beat{Boot: boot("b")})
		time.Sleep(20 * time.Second)
		if _, err := c.try(arbiter.Beat{Boot: boot("a")}, 5*time.Second); err == nil {
			t.Error("two ledgers act")
		}
		if _, err := c.add("a", "b"); err == nil {
			t.Error("a disk of another ledger was added")
		}
	})
}

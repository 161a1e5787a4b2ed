package raftnode

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// sickDisk is a disk whose writes can be made to hang or to fail.
type sickDisk struct {
	storage
	mu   sync.Mutex
	hang chan struct{} // writes wait for it
	err  error
	slow time.Duration // every write takes this long
}

func (d *sickDisk) state() (chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hang, d.err
}

func (d *sickDisk) write() error {
	hang, err := d.state()
	d.mu.Lock()
	slow := d.slow
	d.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	if hang != nil {
		<-hang
	}
	return err
}

func (d *sickDisk) StoreLogs(l []*raft.Log) error {
	if err := d.write(); err != nil {
		return err
	}
	return d.storage.StoreLogs(l)
}

func (d *sickDisk) SetUint64(k []byte, v uint64) error {
	if err := d.write(); err != nil {
		return err
	}
	return d.storage.SetUint64(k, v)
}

// frail makes every node started from now on run on a disk that can be made sick.
func frail(c *cluster) map[string]*sickDisk {
	disks := map[string]*sickDisk{}
	c.tuneup = func(o *Options) {
		d := &sickDisk{}
		disks[o.Self] = d
		o.disk = func(s storage) storage { d.storage = s; return d }
	}
	return disks
}

func (d *sickDisk) set(hang chan struct{}, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang, d.err = hang, err
}

func TestALeaderWhoseDiskHangsLeavesTheQuorum(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		disks := frail(c)
		c.startAll()
		leader, other := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(other)})
		hang := make(chan struct{})
		defer close(hang)
		disks[leader].set(hang, nil)

		began := time.Now()
		c.propose(arbiter.Beat{Boot: boot(other)})
		// One heartbeat of patience with the disk, then an election among the two others.
		if took := time.Since(began); took > 7*c.timing().Heartbeat {
			t.Errorf("the next beat took %v", took)
		}
		time.Sleep(stallLimit)
		select {
		case err := <-c.nodes[leader].Failed():
			if !strings.Contains(err.Error(), "took longer than 1s: the disk hangs") {
				t.Error(err)
			}
		default:
			t.Error("the node with the hanging disk didn't say so")
		}
		if s := c.nodes[leader].Status(); s.State != Failed || s.Quorum || s.Admitted || s.Problem == "" {
			t.Errorf("%+v", s)
		}
		if _, err := c.try(arbiter.Register{Boot: boot(leader)}, 5*time.Second); !errors.Is(err, ErrNotProposed) {
			t.Errorf("the failed node proposed: %v", err)
		}
	})
}

func (d *sickDisk) slowDown(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

// A leader writes before anybody else does, so a slow disk there delays every beat of the cluster.
// It never trips the watchdog, so leadership must leave it, and not come back while it is slow.
func TestLeadershipLeavesASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "arb")
		defer c.stopAll()
		disks := frail(c)
		c.startAll()
		c.until("the arbiter leading", 10*time.Second, func() bool { return c.leader() == "arb" })
		c.propose(arbiter.Register{Boot: boot("a")})
		disks["arb"].slowDown(stallLimit * 8 / 10)

		until := time.Now().Add(30 * time.Second)
		worst, late := time.Duration(0), 0
		for began := time.Now(); time.Now().Before(until); time.Sleep(c.ttl / 4) {
			sent := time.Now()
			c.propose(arbiter.Beat{Boot: boot("a")})
			worst = max(worst, time.Since(sent))
			if time.Since(sent) > c.ttl/4 && time.Since(began) > 5*time.Second {
				late++
			}
		}
		// The first waits for one heartbeat and an election; when leadership has moved, all are quick.
		if worst > 7*c.timing().Heartbeat || late > 0 {
			t.Errorf("the slowest beat took %v, and %d were late after leadership should have moved", worst, late)
		}
		if s := c.nodes["arb"].Status(); s.State != Follower || s.Problem != "" {
			t.Errorf("the arbiter with the slow disk: %+v", s)
		}
		disks["arb"].slowDown(0)
		c.until("leadership back at the arbiter", 10*time.Minute, func() bool {
			c.propose(arbiter.Beat{Boot: boot("a")})
			return c.leader() == "arb"
		})
	})
}

func TestAFollowerWhoseDiskFailsLeavesTheQuorum(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		disks := frail(c)
		c.startAll()
		sick := c.follower()
		leader := c.leader()
		disks[sick].set(nil, errors.New("input/output error"))
		c.propose(arbiter.Register{Boot: boot(leader)})
		c.until("the failure told", 5*time.Second, func() bool { return c.nodes[sick].Status().State == Failed })
		if err := <-c.nodes[sick].Failed(); !strings.Contains(err.Error(), "input/output error") {
			t.Error(err)
		}
		c.propose(arbiter.Beat{Boot: boot(leader)})
	})
}

// Raft panics when it can't save its term; the node must leave the quorum instead.
func TestATermThatCannotBeSavedEndsRaftAndNotTheProcess(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		disks := frail(c)
		c.startAll()
		sick := c.follower()
		leader := c.leader()
		c.propose(arbiter.Register{Boot: boot(sick)})
		disks[sick].set(nil, errors.New("input/output error"))
		c.crash(leader)
		c.until("the failure told", 10*time.Second, func() bool { return c.nodes[sick].Status().State == Failed })
		c.start(leader)
		c.propose(arbiter.Register{Boot: boot(leader)})
	})
}

// What can't be saved must not be acted on: Raft's goroutine ends where it would go on to vote.
func TestNothingHappensAfterATermThatWasNotSaved(t *testing.T) {
	tripped := 0
	w := &watchdog{storage: &sickDisk{err: errors.New("input/output error")}, limit: time.Second, trip: func(error) { tripped++ }}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := w.SetUint64([]byte("CurrentTerm"), 7); err == nil {
				t.Error("went on as if the term were saved")
			} else {
				t.Errorf("got %v, on which Raft panics", err)
			}
		})
		wg.Wait()
	}
	if tripped != 1 {
		t.Errorf("told %d times", tripped)
	}
}

func TestAnEntryOfANewerVersionStopsTheReplica(t *testing.T) {
	var told error
	m := newMachine(wire.NewFeed(), func(err error) { told = err })
	good := entry(t, 0, in(own, arbiter.Register{Boot: boot("a")})).Data
	m.Apply(&raft.Log{Index: 3, Data: good})
	before := m.current()
	m.Apply(&raft.Log{Index: 4, Data: []byte(`[{"command":{"kind":"teleport","body":{}}}]`)})
	if told == nil || !strings.Contains(told.Error(), "upgrade this node") {
		t.Errorf("told: %v", told)
	}
	if out := m.Apply(&raft.Log{Index: 5, Data: good}).([]outcome)[0]; out.err == nil {
		t.Error("an entry after one that can't be read was applied")
	}
	if got := m.current(); got.Index != before.Index {
		t.Errorf("the record went from %d to %d", before.Index, got.Index)
	}
	if _, err := m.Snapshot(); err == nil {
		t.Error("a replica that stopped wrote a snapshot")
	}
}

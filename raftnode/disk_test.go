package raftnode

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
)

// sickDisk is a disk whose writes can be made to hang or to fail.
type sickDisk struct {
	storage
	mu   sync.Mutex
	hang chan struct{} // writes wait for it
	err  error
}

func (d *sickDisk) state() (chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hang, d.err
}

func (d *sickDisk) write() error {
	hang, err := d.state()
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
		// One second of patience with the disk, then an election among the two others.
		if took := time.Since(began); took > stallLimit+6*c.timing().Heartbeat {
			t.Errorf("the next beat took %v", took)
		}
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
	m := &machine{feed: newFeed(), trip: func(err error) { told = err }}
	good := arbiter.Encode(arbiter.Register{Boot: boot("a")})
	m.Apply(&raft.Log{Index: 3, Data: good})
	before := m.current()
	m.Apply(&raft.Log{Index: 4, Data: []byte(`{"kind":"teleport","body":{}}`)})
	if told == nil || !strings.Contains(told.Error(), "upgrade this node") {
		t.Errorf("told: %v", told)
	}
	if out := m.Apply(&raft.Log{Index: 5, Data: good}).(outcome); out.err == nil {
		t.Error("an entry after one that can't be read was applied")
	}
	if got := m.current(); got.Index != before.Index {
		t.Errorf("the record went from %d to %d", before.Index, got.Index)
	}
	if _, err := m.Snapshot(); err == nil {
		t.Error("a replica that stopped wrote a snapshot")
	}
}

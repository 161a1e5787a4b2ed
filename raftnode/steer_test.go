package raftnode

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/solevip/solevip/arbiter"
)

func TestLeadershipGoesToTheArbiterAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "arb")
		defer c.stopAll()
		c.startAll()
		c.until("the arbiter leading", 10*time.Second, func() bool { return c.leader() == "arb" })
		c.crash("arb")
		if l := c.leader(); l == "arb" {
			t.Fatalf("%s leads and is dead", l)
		}
		c.start("arb")
		c.until("the arbiter leading again", time.Minute, func() bool { return c.leader() == "arb" })
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			time.Sleep(time.Second)
			if l := c.leader(); l != "arb" {
				t.Fatalf("leadership left the arbiter for %s", l)
			}
		}
	})
}

func TestLeadershipLeavesTheHolder(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		holder := c.leader()
		r := c.propose(arbiter.Register{Boot: boot(holder)})
		c.propose(arbiter.Take{Group: "mysql", Boot: boot(holder), Protection: arbiter.ProtectLease, Seen: arbiter.See(r, "mysql")})
		c.until("another leader than the holder", 10*time.Second, func() bool { return c.leader() != holder })
		c.propose(arbiter.Beat{Boot: boot(holder)})
	})
}

// An arbiter that is reached by requests but can't lead must not make leadership circle.
func TestASickArbiterIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "arb")
		defer c.stopAll()
		c.startAll()
		c.until("the arbiter leading", 10*time.Second, func() bool { return c.leader() == "arb" })
		changes, last := 0, ""
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			if c.nodes["arb"].Status().State == Leader { // it never keeps it for long
				if err := c.nodes["arb"].TransferLeadership(t.Context(), "a"); err != nil {
					t.Log(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
			if l, _ := c.nodes["a"].leader.get(); l != "" && l != last {
				changes, last = changes+1, l
			}
		}
		if changes > 40 {
			t.Errorf("leadership changed %d times in 10 minutes", changes)
		}
	})
}

func TestLeadershipCanBeHandedOver(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, to := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(leader)})
		if err := c.nodes[to].TransferLeadership(t.Context(), leader); !errors.Is(err, ErrNotLeader) {
			t.Errorf("a follower handed leadership over: %v", err)
		}
		began := time.Now()
		if err := c.nodes[leader].TransferLeadership(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		c.propose(arbiter.Beat{Boot: boot(leader)})
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("hand-over and a beat took %v", took)
		}
		if now := c.leader(); now != to {
			t.Errorf("%s leads, not %s", now, to)
		}
		gone := other(c, leader, to)
		c.crash(gone)
		if err := c.nodes[to].TransferLeadership(t.Context(), gone); err == nil {
			t.Error("leadership was handed to a dead node")
		}
		c.propose(arbiter.Beat{Boot: boot(leader)})
	})
}

// A leader that is stopped hands over first: nobody waits for an election.
func TestAStoppedLeaderCostsNoElection(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, other := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(other)})
		began := time.Now()
		c.stop(leader)
		c.propose(arbiter.Beat{Boot: boot(other)})
		if took := time.Since(began); took > 2*c.timing().Heartbeat {
			t.Errorf("stopping the leader and the next beat took %v", took)
		}
	})
}

func (c *cluster) timing() Timing {
	t, err := TimingFor(c.ttl)
	if err != nil {
		c.t.Fatal(err)
	}
	return t
}

package raftnode

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// virtual runs a test of a three-node cluster in virtual time.
func virtual(t *testing.T, test func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		defer c.stopAll()
		test(t, c)
	})
}

func TestAProposalFromAnyNodeIsSeenByAll(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		var last arbiter.Record
		for _, name := range []string{"a", "b", "c"} {
			r := c.propose(arbiter.Register{Boot: boot(name)})
			if r.Index <= last.Index {
				t.Errorf("index %d after %d: it must grow", r.Index, last.Index)
			}
			last = r
		}
		for name, n := range c.nodes {
			w := n.Watch(t.Context())
			var got arbiter.Record
			c.until("the newest record at "+name, time.Second, func() bool {
				select {
				case got = <-w:
				default:
				}
				return got.Index == last.Index
			})
			if d := cmp.Diff(last, got); d != "" {
				t.Errorf("%s sees another ledger (-proposed +watched):\n%s", name, d)
			}
		}
	})
}

func TestARefusalIsAgreedAndCarriesTheLedger(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		before := c.propose(arbiter.Register{Boot: boot("a")})
		r, err := c.try(arbiter.Beat{Boot: boot("b")}, 5*time.Second)
		if arbiter.RefusedAs(err) != arbiter.Unregistered {
			t.Fatalf("beat of an unregistered boot: %v", err)
		}
		if r.Index <= before.Index {
			t.Errorf("refusal at index %d, after %d", r.Index, before.Index)
		}
		r.Index = before.Index
		if d := cmp.Diff(before, r); d != "" {
			t.Errorf("a refusal changed the ledger:\n%s", d)
		}
	})
}

func TestANodeMayOnlyProposeAsItself(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, other := c.leader(), c.follower()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := c.nodes[other].Propose(ctx, arbiter.Register{Boot: boot(leader)}); !errors.Is(err, ErrNotYou) {
			t.Errorf("%s registers %s: %v", other, leader, err)
		}
		// A node that leaves its own check out is denied by the leader.
		cmd := wire.Proposal{Command: arbiter.Encode(arbiter.Register{Boot: boot(leader)})}
		err := c.nodes[other].links[leader].Call(ctx, wire.AskPropose, cmd, nil)
		if w, ok := errors.AsType[*wire.Error](err); !ok || w.Code != wire.Denied {
			t.Errorf("%s registers %s over the wire: %v", other, leader, err)
		}
		if r, err := c.nodes[leader].Read(ctx); err != nil || len(r.Nodes) != 0 {
			t.Errorf("the ledger has %v, %v", r.Nodes, err)
		}
	})
}

// The lease leaves ttl - ttl/4 - margin for a new leader, that is 4 heartbeats and some. A leader
// that is cut off gives no sign: the beat under way to it must be sent again to the new one.
func TestBeatsGoOnWhenTheLeaderIsGone(t *testing.T) {
	for name, end := range map[string]func(*cluster, string){"crashed": (*cluster).crash, "cut off": (*cluster).isolate} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, c *cluster) {
				c.startAll()
				leader, other := c.leader(), c.follower()
				before := c.propose(arbiter.Register{Boot: boot(other)})
				end(c, leader)
				began := time.Now()
				after := c.propose(arbiter.Beat{Boot: boot(other)})
				if took := time.Since(began); took > c.ttl-c.ttl/4 {
					t.Errorf("the first beat without the leader took %v", took)
				}
				if after.Index <= before.Index || after.Nodes[other].Beat <= before.Nodes[other].Beat {
					t.Errorf("beat %d at %d, before it %d at %d", after.Nodes[other].Beat, after.Index, before.Nodes[other].Beat, before.Index)
				}
			})
		})
	}
}

func TestNoQuorumAgreesToNothing(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.propose(arbiter.Register{Boot: boot("a")})
		c.crash("b")
		c.crash("c")
		c.until("a without quorum", 5*time.Second, func() bool { return !c.nodes["a"].Status().Quorum })
		if r, err := c.try(arbiter.Beat{Boot: boot("a")}, 10*time.Second); err == nil {
			t.Errorf("one of three agreed on %v", r)
		}
		c.start("b")
		c.propose(arbiter.Beat{Boot: boot("a")})
	})
}

func TestACutOffLeaderGrantsNothing(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, other := c.leader(), c.follower()
		c.propose(arbiter.Register{Boot: boot(leader)})
		c.propose(arbiter.Register{Boot: boot(other)})
		c.isolate(leader)
		if r, err := c.try(arbiter.Beat{Boot: boot(leader)}, time.Second); err == nil {
			t.Errorf("the cut-off leader agreed with itself: %v", r)
		}
		after := c.propose(arbiter.Beat{Boot: boot(other)})
		c.net.heal()
		r := c.propose(arbiter.Beat{Boot: boot(leader)})
		if r.Index <= after.Index {
			t.Errorf("the returned leader is at %d, the others were at %d", r.Index, after.Index)
		}
	})
}

func TestARestartedNodeNeverShowsAnOlderLedger(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		name := c.follower()
		var last arbiter.Record
		c.propose(arbiter.Register{Boot: boot(name)})
		snapshotNow(t, c.nodes[name]) // an old ledger to restore at the start
		for range 5 {
			last = c.propose(arbiter.Beat{Boot: boot(name)})
		}
		c.crash(name)
		c.start(name)
		got := <-c.nodes[name].Watch(t.Context())
		if got.Index < last.Index {
			t.Errorf("after its restart %s shows index %d, before it %d", name, got.Index, last.Index)
		}
		if d := cmp.Diff(last.Nodes, got.Nodes); d != "" {
			t.Errorf("another ledger after the restart:\n%s", d)
		}
	})
}

func TestTheWholeClusterRestartsFromItsDisks(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		last := c.propose(arbiter.Register{Boot: boot("a")})
		last = c.propose(arbiter.Take{Group: "mysql", Boot: boot("a"), Protection: arbiter.ProtectFence, Seen: arbiter.See(last, "mysql")})
		ledger := c.nodes["a"].Status().Ledger
		for _, name := range []string{"a", "b", "c"} {
			c.crash(name)
		}
		c.startAll()
		got, err := c.nodes["b"].Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(last, got); d != "" {
			t.Errorf("another ledger after the restart:\n%s", d)
		}
		if now := c.nodes["a"].Status().Ledger; now != ledger || ledger == "" {
			t.Errorf("ledger id %q before, %q after the restart", ledger, now)
		}
	})
}

// Raft alone would leave the healed node out for up to 10 s, depending on how long it was away.
func TestAHealedNodeCountsAtOnce(t *testing.T) {
	for _, outage := range []time.Duration{20 * time.Second, 60 * time.Second, 63 * time.Second, 66 * time.Second} {
		virtual(t, func(t *testing.T, c *cluster) {
			c.startAll()
			leader, away := c.leader(), c.follower()
			c.propose(arbiter.Register{Boot: boot(leader)})
			c.isolate(away)
			time.Sleep(outage)
			c.propose(arbiter.Beat{Boot: boot(leader)})
			c.net.heal()
			healed := time.Now()
			c.leader()
			c.crash(other(c, leader, away))
			c.propose(arbiter.Beat{Boot: boot(leader)})
			if took := time.Since(healed); took > 2*time.Second {
				t.Errorf("after an outage of %v the healed node counted only after %v", outage, took)
			}
		})
	}
}

// other is a node that is none of those.
func other(c *cluster, not ...string) string {
	for _, name := range nodeNames(c.peers) {
		found := false
		for _, n := range not {
			found = found || n == name
		}
		if !found {
			return name
		}
	}
	return ""
}

func TestWatchHasTheNewestAndEnds(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		ctx, cancel := context.WithCancel(t.Context())
		w := c.nodes["a"].Watch(ctx)
		c.propose(arbiter.Register{Boot: boot("a")})
		var last arbiter.Record
		for range 20 {
			last = c.propose(arbiter.Beat{Boot: boot("a")})
		}
		if got := <-w; got.Index != last.Index {
			t.Errorf("a reader that slept sees index %d first, the newest is %d", got.Index, last.Index)
		}
		cancel()
		synctest.Wait()
		if _, open := <-w; open {
			t.Error("the channel is open after its context ended")
		}
	})
}

// A half-dead wire is the usual one: requests arrive and answers don't, or the other way round.
func TestOneDirectionCutCostsAtMostAnElection(t *testing.T) {
	for _, toLeader := range []bool{true, false} {
		virtual(t, func(t *testing.T, c *cluster) {
			c.startAll()
			leader, cut := c.leader(), c.follower()
			third := other(c, leader, cut)
			for _, name := range []string{leader, cut, third} {
				c.propose(arbiter.Register{Boot: boot(name)})
			}
			if toLeader {
				c.net.cut(cut, leader)
			} else {
				c.net.cut(leader, cut)
			}
			for range 20 {
				for _, name := range []string{leader, third} {
					if _, err := c.try(arbiter.Beat{Boot: boot(name)}, c.ttl-c.ttl/4); err != nil {
						t.Errorf("to the leader %v: %s isn't cut off, and its beat: %v", toLeader, name, err)
					}
				}
				time.Sleep(c.ttl / 4)
			}
			c.net.heal()
			c.propose(arbiter.Beat{Boot: boot(cut)})
		})
	}
}

func TestATakeAtADeadLeaderIsKnownToBeUnknownSoon(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader, taker := c.leader(), c.follower()
		r := c.propose(arbiter.Register{Boot: boot(taker)})
		c.isolate(leader)
		began := time.Now()
		_, err := c.try(arbiter.Take{Group: "g", Boot: boot(taker), Protection: arbiter.ProtectFence, Seen: arbiter.See(r, "g")}, time.Minute)
		if took := time.Since(began); took > 8*c.timing().Heartbeat {
			t.Errorf("it took %v", took)
		}
		if err == nil || errors.Is(err, ErrNotProposed) || arbiter.RefusedAs(err) != "" {
			t.Errorf("the outcome is unknown, not %v", err)
		}
		if got := c.propose(arbiter.Beat{Boot: boot(taker)}); got.Groups["g"].Epoch != 0 {
			t.Errorf("the cut-off leader's entry was agreed: %+v", got.Groups["g"])
		}
	})
}

func TestOneNodeIsACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		defer c.stopAll()
		c.startAll()
		c.propose(arbiter.Register{Boot: boot("a")})
		if s := c.nodes["a"].Status(); s.State != Leader || !s.Quorum || !s.Admitted || s.Problem != "" {
			t.Errorf("%+v", s)
		}
	})
}

package etcd

import (
	"context"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
)

// preferred is the member that a ledger asks first.
func (e *members) preferred(l *Ledger) *member {
	url := l.ends.pick().url
	for _, m := range e.members {
		if "http://"+m.clients.Address() == url {
			return m
		}
	}
	e.t.Fatalf("no member at %s", url)
	return nil
}

// A take whose answer is lost is carried out all the same, and the next attempt, at another member,
// must find that out instead of being refused by its own success.
func TestALostAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, longTTL, "a", "b")
	for _, n := range []string{"a", "b"} {
		must(t, ls[n], arbiter.Register{Boot: arbitertest.Boot(n)})
	}
	var last arbiter.Record
	for round, c := range []arbiter.Command{
		arbiter.Take{Group: "mysql", Boot: arbitertest.Boot("a"), Protection: arbiter.ProtectFence},
		arbiter.Beat{Boot: arbitertest.Boot("a")},
		arbiter.Release{Group: "mysql", Boot: arbitertest.Boot("a"), Epoch: 1},
	} {
		m := e.preferred(ls["a"])
		m.clients.StallAnswers()
		began := time.Now()
		r := must(t, ls["a"], c)
		if took := time.Since(began); took < ls["a"].timing.attempt {
			t.Errorf("%v: answered after %v: nothing was lost", c, took)
		} else if took > ls["a"].opt.TTL/2 {
			t.Errorf("%v: answered after %v: that is too late for a ttl of %v", c, took, ls["a"].opt.TTL)
		}
		m.clients.Heal()
		if g := r.Groups["mysql"]; g.Epoch != 1 || round == 0 && g.Holder != arbitertest.Boot("a") || round == 2 && !g.Holder.IsZero() {
			t.Errorf("%v: %+v", c, g)
		}
		last = r
	}
	if beat := last.Nodes["a"].Beat; beat != 3 {
		t.Errorf("a registered, took and beat, once each, and its count is %d", beat)
	}
}

// A node whose connections carried nothing while the others went on, and while the revisions that it
// would go on from were compacted, must see the newest when they do again, and nothing older.
func TestAWatchSurvivesCompaction(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, longTTL, "a")
	// c has wires of its own.
	o := testOptions(t, e, longTTL, ls["a"].opt.Cluster, "c")
	o.Endpoints = nil
	var wires []*arbitertest.Wire
	for _, m := range e.members {
		w := arbitertest.NewWire(t, arbitertest.Local(m.client), nil)
		wires, o.Endpoints = append(wires, w), append(o.Endpoints, "http://"+w.Address())
	}
	c := opened(t, o)
	must(t, ls["a"], arbiter.Register{Boot: arbitertest.Boot("a")})
	watch := c.Watch(t.Context())
	first := <-watch
	for _, w := range wires {
		w.Stall()
	}
	e.until("c to miss the quorum", 10*time.Second, func(context.Context) bool { return !c.Status().Quorum })
	var last arbiter.Record
	for range 20 {
		last = must(t, ls["a"], arbiter.Beat{Boot: arbitertest.Boot("a")})
	}
	compact(t, e)
	for _, w := range wires {
		w.Heal()
	}
	limit := time.After(10 * time.Second)
	for at := first.Index; ; {
		select {
		case r := <-watch:
			if r.Index <= at {
				t.Fatalf("index %d after %d", r.Index, at)
			}
			if at = r.Index; r.Nodes["a"].Beat == last.Nodes["a"].Beat {
				// And it goes on by watching, not only by probing.
				r := must(t, ls["a"], arbiter.Beat{Boot: arbitertest.Boot("a")})
				for got := range watch {
					if got.Index == r.Index {
						return
					}
				}
			}
		case <-limit:
			t.Fatal("c never saw the newest")
		}
	}
}

// A member that hangs keeps its connections; only time tells.
func TestAMemberThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, longTTL, "a")
	l := ls["a"]
	must(t, l, arbiter.Register{Boot: arbitertest.Boot("a")})
	for range 3 {
		m := e.preferred(l)
		if m == e.leader() { // the election is another story: faults
			for _, o := range e.members {
				if o != m {
					for _, link := range l.ends.links {
						if link.url == "http://"+o.clients.Address() {
							l.ends.prefer(link)
						}
					}
				}
			}
			m = e.preferred(l)
		}
		m.clients.Stall()
		began := time.Now()
		must(t, l, arbiter.Beat{Boot: arbitertest.Boot("a")})
		if took := time.Since(began); took > l.opt.TTL/4 {
			t.Errorf("a beat took %v past a member that hangs; the next is due after %v", took, l.opt.TTL/4)
		}
		began = time.Now()
		must(t, l, arbiter.Beat{Boot: arbitertest.Boot("a")})
		if took := time.Since(began); took > l.timing.attempt {
			t.Errorf("the next beat took %v: the member that hangs was asked again", took)
		}
		m.clients.Heal()
	}
}

func TestWithoutAMajorityNothingIsAgreed(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, longTTL, "a")
	must(t, ls["a"], arbiter.Register{Boot: arbitertest.Boot("a")})
	e.until("the status to show the quorum", 5*time.Second, func(context.Context) bool {
		s := ls["a"].Status()
		return s.Quorum && s.Problem == "" && s.Leader == e.leader().name
	})
	e.kill(e.members[0])
	e.kill(e.members[1])
	if r, err := try(ls["a"], arbiter.Beat{Boot: arbitertest.Boot("a")}, 2*time.Second); err == nil {
		t.Errorf("one of three agreed on %v", r)
	}
	e.until("the status to show it", 5*time.Second, func(context.Context) bool {
		s := ls["a"].Status()
		return !s.Quorum && s.Problem != ""
	})
	e.start(e.members[0])
	must(t, ls["a"], arbiter.Beat{Boot: arbitertest.Boot("a")})
	e.until("the quorum to be back", 5*time.Second, func(context.Context) bool { return ls["a"].Status().Quorum })
}

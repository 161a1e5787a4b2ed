package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// list puts a node into the file and restarts everybody who runs, one after the other.
func (c *cluster) list(name string) {
	c.t.Helper()
	c.peers = append(slices.Clone(c.peers), Peer{Name: name, Address: name + ":7420"})
	c.rollingRestart()
}

// unlist takes a node out of the file, likewise.
func (c *cluster) unlist(name string) {
	c.t.Helper()
	c.peers = slices.DeleteFunc(slices.Clone(c.peers), func(p Peer) bool { return p.Name == name })
	c.rollingRestart()
}

func (c *cluster) rollingRestart() {
	c.t.Helper()
	for _, name := range nodeNames(c.peers) {
		if c.nodes[name] == nil {
			continue
		}
		c.stop(name)
		c.start(name)
		c.until(name+" back", 30*time.Second, func() bool { s := c.nodes[name].Status(); return s.Admitted && s.Quorum })
	}
}

func (c *cluster) add(at, name string) (Membership, error) {
	return c.member((*Node).AddNode, at, name)
}
func (c *cluster) remove(at, name string) (Membership, error) {
	return c.member((*Node).RemoveNode, at, name)
}

func (c *cluster) member(do func(*Node, context.Context, string) (Membership, error), at, name string) (Membership, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Second, errors.New("the test's limit"))
	defer cancel()
	return do(c.nodes[at], ctx, name)
}

func TestAFreshNodeWaitsToBeAdded(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		last := c.propose(arbiter.Register{Boot: boot("a")})
		c.list("d")
		c.start("d")
		time.Sleep(time.Minute)
		s := c.nodes["d"].Status()
		if s.State != Unlisted || s.Admitted || !strings.Contains(s.Problem, "solevip cluster add d") {
			t.Errorf("d before it is added: %+v", s)
		}
		if got := c.nodes["a"].Status(); len(got.Voters) != 3 || len(got.Strangers) != 1 || !strings.Contains(got.Strangers[0], "d is in the file but has no vote") {
			t.Errorf("a, of d: %+v", got)
		}

		m, err := c.add("b", "d")
		if err != nil || !m.Changed || !slices.Equal(m.Voters, []string{"a", "b", "c", "d"}) {
			t.Fatalf("add: %+v, %v", m, err)
		}
		c.until("d votes and says so", 10*time.Second, func() bool { s := c.nodes["d"].Status(); return s.Admitted && s.Problem == "" })
		if got := c.nodes["a"].Status().Strangers; len(got) != 0 {
			t.Errorf("strangers %q", got)
		}
		if m, err := c.add("d", "d"); err != nil || m.Changed {
			t.Errorf("added again: %+v, %v", m, err)
		}
		// Its vote counts: with two of four gone nothing is agreed, with one gone all is.
		c.crash("b")
		got := c.propose(arbiter.Beat{Boot: boot("a")})
		if got.Nodes["a"].Beat <= last.Nodes["a"].Beat {
			t.Errorf("beat %d after %d", got.Nodes["a"].Beat, last.Nodes["a"].Beat)
		}
		c.crash("c")
		if _, err := c.try(arbiter.Beat{Boot: boot("a")}, 10*time.Second); err == nil {
			t.Error("two of four agreed")
		}
	})
}

func TestWhatIsNotReadyIsNotAdded(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.leader()
		refused := func(what, name, want string) {
			t.Helper()
			if _, err := c.add("a", name); !errors.Is(err, ErrDenied) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("a node of no file", "d", `lists no node "d" (it lists a, b, c)`)
		c.list("d")
		refused("a node that isn't up", "d", "start its daemon first")
		c.start("d")
		leader := c.nodes["a"].Status().Leader
		late := other(c, leader, "d")
		c.stop(late)
		o := c.options(late)
		o.Peers = slices.DeleteFunc(slices.Clone(o.Peers), func(p Peer) bool { return p.Name == "d" })
		n, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[late] = n
		c.until(late+" back", 30*time.Second, func() bool { return n.Status().Quorum })
		refused("a node that one file doesn't list", "d", "the file on "+late+" doesn't list d")
	})
}

func TestARemovedNodeKeepsWhatItHoldsAndNoVote(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		holder := c.leader() // the harder case: it must hand leadership over first
		r := c.propose(arbiter.Register{Boot: boot(holder)})
		before := c.propose(arbiter.Take{Group: "mysql", Boot: boot(holder), Protection: arbiter.ProtectFence, Seen: arbiter.See(r, "mysql")})
		stay := other(c, holder)

		m, err := c.remove(stay, holder)
		if err != nil || !m.Changed || slices.Contains(m.Voters, holder) || len(m.Voters) != 2 {
			t.Fatalf("remove: %+v, %v", m, err)
		}
		if m, err := c.remove(stay, holder); err != nil || m.Changed {
			t.Errorf("removed again: %+v, %v", m, err)
		}
		c.until("the removed node knows it", 10*time.Second, func() bool { return c.nodes[holder].Status().State == Unlisted })
		// It doesn't come back by itself, nor with an empty disk.
		time.Sleep(time.Minute)
		if v := c.nodes[stay].Status().Voters; len(v) != 2 {
			t.Errorf("voters %v", v)
		}
		got, err := c.nodes[stay].Read(t.Context())
		if err != nil || got.Groups["mysql"] != before.Groups["mysql"] {
			t.Errorf("the group is %+v, was %+v (%v)", got.Groups["mysql"], before.Groups["mysql"], err)
		}
		// It may go on renewing by way of the leader, and comes back with the disk it has.
		c.propose(arbiter.Beat{Boot: boot(holder)})
		if m, err := c.add(stay, holder); err != nil || len(m.Voters) != 3 {
			t.Errorf("added back: %+v, %v", m, err)
		}
	})
}

func TestNobodyIsRemovedWhomTheQuorumNeeds(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		leader := c.leader()
		alive := other(c, leader)
		dead := other(c, leader, alive)
		c.crash(dead)
		for _, needed := range []string{alive, leader} {
			if m, err := c.remove(alive, needed); !errors.Is(err, ErrDenied) || !strings.Contains(fmt.Sprint(err), "would lose its quorum: 2 of the voters") {
				t.Errorf("remove %s with %s dead: %+v, %v", needed, dead, m, err)
			}
		}
		if m, err := c.remove(alive, dead); err != nil || len(m.Voters) != 2 {
			t.Errorf("remove the dead one: %+v, %v", m, err)
		}
		c.unlist(dead)
		c.propose(arbiter.Register{Boot: boot(alive)})
		if s := c.nodes[alive].Status(); len(s.Strangers) != 0 {
			t.Errorf("strangers: %q", s.Strangers)
		}
	})
}

func TestAVoterThatTheFileForgotIsTold(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.leader()
		c.stop("c")
		c.unlist("c")
		s := c.nodes["a"].Status()
		if len(s.Voters) != 3 || len(s.Strangers) != 1 || !strings.Contains(s.Strangers[0], "solevip cluster remove c") {
			t.Errorf("a: %+v", s)
		}
		if m, err := c.remove("b", "c"); err != nil || !slices.Equal(m.Voters, []string{"a", "b"}) {
			t.Errorf("remove: %+v, %v", m, err)
		}
	})
}

func TestWithoutAQuorumNobodyIsAddedOrRemoved(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		c.leader()
		c.crash("b")
		c.crash("c")
		if m, err := c.remove("a", "b"); err == nil || errors.Is(err, ErrDenied) || m.Changed {
			t.Errorf("remove: %+v, %v", m, err)
		}
	})
}

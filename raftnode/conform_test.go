package raftnode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
)

// someCommand is a command that has a fair chance of being accepted, and of being refused.
func someCommand(rng *rand.Rand, r arbiter.Record, names []string) arbiter.Command {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	node := pick(names...)
	b := arbiter.Boot{Node: node, Kernel: fmt.Sprint("k", rng.IntN(100)), Incarnation: "i"}
	if known := r.Nodes[node]; rng.IntN(8) > 0 && !known.Boot.IsZero() && !known.Fenced {
		b = known.Boot
	}
	group := pick("mysql", "nfs")
	g := r.Groups[group]
	seen := arbiter.See(r, group)
	if rng.IntN(5) == 0 {
		seen.Beat++
	}
	protection := arbiter.Protection(pick("fence", "lease"))
	if r.Nodes[node].Boot != b {
		return arbiter.Register{Boot: b, Seen: r.Nodes[node].Beat}
	}
	switch rng.IntN(10) {
	case 0:
		return arbiter.Register{Boot: b, Seen: r.Nodes[node].Beat}
	case 1, 2:
		return arbiter.Take{Group: group, Boot: b, Protection: protection, Seen: seen}
	case 3:
		return arbiter.Release{Group: group, Boot: b, Epoch: g.Epoch, Dirty: rng.IntN(3) == 0}
	case 4:
		return arbiter.Intent{Group: group, Boot: b, Epoch: g.Epoch, Suspect: g.Suspect, At: rng.Int64N(1e12)}
	case 5:
		evidence := arbiter.Evidence(pick(string(arbiter.PowerOffVerified), string(arbiter.Expired)))
		return arbiter.Clear{Group: group, Boot: b, Epoch: g.Epoch, Suspect: g.Suspect, Evidence: evidence, Method: "ipmi"}
	case 6:
		return arbiter.Report{Boot: b, Target: g.Suspect, Outcome: "unknown", Detail: "no answer"}
	case 7:
		target := pick(names...)
		return arbiter.Attest{Node: node, Target: r.Nodes[target].Boot, Seen: r.Nodes[target].Beat, Operator: "ann", Reason: "unplugged"}
	case 8:
		return arbiter.Move{Node: node, Group: group, Epoch: g.Epoch, To: pick(names...)}
	}
	return arbiter.Beat{Boot: b}
}

// What three replicas agree on is what Apply says, whoever proposes, leads and is restarted.
func TestTheLedgerIsWhatApplySays(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster) {
		names := []string{"a", "b", "c"}
		rng := rand.New(rand.NewPCG(1, 2))
		c.startAll()
		var want arbiter.Record
		accepted, refused := 0, map[arbiter.Code]int{}
		for i := range 600 {
			switch i {
			case 150:
				snapshotNow(t, c.nodes["a"])
			case 200:
				c.crash(c.leader())
				c.startAllMissing()
			case 400:
				for _, n := range names {
					c.crash(n)
				}
				c.startAll()
			}
			cmd := someCommand(rng, want, names)
			next, refusal := arbiter.Apply(want, cmd)
			got, err := c.try(cmd, 10*time.Second)
			if arbiter.RefusedAs(err) != arbiter.RefusedAs(refusal) || err != nil && refusal == nil {
				t.Fatalf("%d: %v: the cluster says %v, Apply says %v", i, cmd, err, refusal)
			}
			if refusal == nil {
				accepted++
			} else {
				refused[arbiter.RefusedAs(refusal)]++
			}
			if got.Index <= want.Index {
				t.Fatalf("%d: index %d after %d", i, got.Index, want.Index)
			}
			next.Index = got.Index
			if d := cmp.Diff(next, got); d != "" {
				t.Fatalf("%d: %v: (-Apply +cluster)\n%s", i, cmd, d)
			}
			want = next
		}
		for name, n := range c.nodes {
			c.until("the whole ledger at "+name, time.Second, func() bool { return n.fsm.current().Index == want.Index })
			if d := cmp.Diff(want, n.fsm.current()); d != "" {
				t.Errorf("replica %s differs:\n%s", name, d)
			}
		}
		t.Logf("%d accepted, refused %v", accepted, refused)
		if accepted < 100 || len(refused) < 4 {
			t.Error("the commands are too tame to prove anything")
		}
	})
}

func (c *cluster) startAllMissing() {
	for _, name := range nodeNames(c.peers) {
		if c.nodes[name] == nil {
			c.start(name)
		}
	}
}

// Two takers of one group, while leaders come and go and wires are cut: an epoch is granted once.
func TestAnEpochIsGrantedOnceWhateverTheNetworkDoes(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			defer c.stopAll()
			c.startAll()
			names := []string{"a", "b", "c"}
			for _, n := range names {
				c.propose(arbiter.Register{Boot: boot(n)})
			}
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			var mu sync.Mutex
			granted := map[uint64]string{}
			var wg sync.WaitGroup
			for _, name := range names {
				wg.Go(func() { c.takeOften(ctx, name, &mu, granted) })
			}
			rng := rand.New(rand.NewPCG(seed, 0))
			for ctx.Err() == nil {
				from, to := names[rng.IntN(3)], names[rng.IntN(3)]
				c.net.cut(from, to)
				if rng.IntN(2) == 0 {
					c.net.cut(to, from)
				}
				time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
				c.net.heal()
				time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
			}
			wg.Wait()
			c.net.heal()
			c.propose(arbiter.Beat{Boot: boot("a")})
			if len(granted) < 10 {
				t.Errorf("seed %d: only %d epochs were granted", seed, len(granted))
			}
		})
	}
}

// takeOften takes the group whenever the ledger as this node sees it allows, and notes each grant.
func (c *cluster) takeOften(ctx context.Context, name string, mu *sync.Mutex, granted map[uint64]string) {
	n := c.nodes[name]
	w := n.Watch(ctx)
	var r arbiter.Record
	for ctx.Err() == nil {
		pause(ctx, nil, 100*time.Millisecond)
		select {
		case newer, open := <-w:
			if !open {
				return
			}
			if newer.Index < r.Index {
				c.t.Errorf("%s sees index %d after %d", name, newer.Index, r.Index)
			}
			r = newer
		default:
		}
		limit, cancel := context.WithTimeout(ctx, time.Second)
		var cmd arbiter.Command = arbiter.Take{Group: "g", Boot: boot(name), Protection: arbiter.ProtectFence, Seen: arbiter.See(r, "g")}
		if r.Groups["g"].Holder == boot(name) || r.Groups["g"].Suspect == boot(name) {
			cmd = arbiter.Release{Group: "g", Boot: boot(name), Epoch: r.Groups["g"].Epoch}
		}
		got, err := n.Propose(limit, cmd)
		cancel()
		if _, take := cmd.(arbiter.Take); err != nil || !take {
			if errors.Is(err, ErrNotYou) {
				c.t.Error(err)
			}
			continue
		}
		epoch := got.Groups["g"].Epoch
		mu.Lock()
		if other, twice := granted[epoch]; twice {
			c.t.Errorf("epoch %d was granted to %s and to %s", epoch, other, name)
		}
		granted[epoch] = name
		mu.Unlock()
	}
}

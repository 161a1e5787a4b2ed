package arbitertest

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode"
)

// raftCluster is three nodes with disks, on loopback ports, with a wire for every ordered pair.
type raftCluster struct {
	t     *testing.T
	dir   string
	peers []raftnode.Peer
	wires map[[2]string]*Wire // from, to

	mu    sync.Mutex
	nodes map[string]*raftnode.Node
}

const raftTTL = 3 * time.Second

func newRaft(t *testing.T) *raftCluster {
	c := &raftCluster{t: t, dir: t.TempDir(), wires: map[[2]string]*Wire{}, nodes: map[string]*raftnode.Node{}}
	for i, port := range Ports(t, len(Nodes)) {
		c.peers = append(c.peers, raftnode.Peer{Name: Nodes[i], Address: Local(port)})
	}
	for _, from := range Nodes {
		for _, to := range c.peers {
			if from != to.Name {
				c.wires[[2]string{from, to.Name}] = NewWire(t, to.Address, nil)
			}
		}
	}
	for _, n := range Nodes {
		c.start(n)
	}
	t.Cleanup(func() {
		for _, n := range Nodes {
			if err := c.node(n).Close(); err != nil {
				t.Errorf("close %s: %v", n, err)
			}
		}
	})
	return c
}

func (c *raftCluster) start(name string) {
	c.t.Helper()
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		for _, p := range c.peers {
			if p.Address == address {
				address = c.wires[[2]string{name, p.Name}].Address()
				break
			}
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
	n, err := raftnode.Start(context.Background(), raftnode.Options{
		Self: name, Cluster: "orders", Peers: c.peers, Dir: filepath.Join(c.dir, name), Insecure: true, TTL: raftTTL, Dial: dial,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		c.t.Fatalf("start %s: %v", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[name] = n
}

func (c *raftCluster) node(name string) *raftnode.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[name]
}

// leader waits for one.
func (c *raftCluster) leader() string {
	c.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); sleep(c.t.Context(), 10*time.Millisecond) {
		for _, n := range Nodes {
			if c.node(n).Status().State == raftnode.Leader {
				return n
			}
		}
	}
	c.t.Fatal("no leader")
	return ""
}

// isolate stalls, or heals, every wire of a node.
func (c *raftCluster) isolate(name string, stall bool) {
	for pair, w := range c.wires {
		switch {
		case pair[0] != name && pair[1] != name:
		case stall:
			w.Stall()
		default:
			w.Heal()
		}
	}
}

// ledgers are the nodes, each in whichever life it is in.
func (c *raftCluster) ledgers() map[string]Ledger {
	out := map[string]Ledger{}
	for _, n := range Nodes {
		out[n] = raftLedger{c, n}
	}
	return out
}

type raftLedger struct {
	*raftCluster
	name string
}

func (l raftLedger) Propose(ctx context.Context, c arbiter.Command) (arbiter.Record, error) {
	return l.node(l.name).Propose(ctx, c)
}

func (l raftLedger) Read(ctx context.Context) (arbiter.Record, error) {
	return l.node(l.name).Read(ctx)
}

func (l raftLedger) Watch(ctx context.Context) <-chan arbiter.Record {
	return l.node(l.name).Watch(ctx)
}

func TestRaft(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T, _ ...string) map[string]Ledger {
		c := newRaft(t)
		c.leader()
		out := map[string]Ledger{}
		for _, n := range Nodes {
			out[n] = c.node(n)
		}
		return out
	})
}

func TestRaftUnderFaults(t *testing.T) {
	t.Parallel()
	c := newRaft(t)
	c.leader()
	wait := func(d time.Duration) { sleep(t.Context(), d) }
	Concurrent(t, c.ledgers(), Load{Seed: 11, Repeats: true, NotProposed: raftnode.ErrNotProposed}, func() {
		wait(500 * time.Millisecond)

		leader := c.leader()
		t.Logf("%s, the leader, dies", leader)
		c.isolate(leader, true) // so that it hands over to nobody
		if err := c.node(leader).Close(); err != nil {
			t.Error(err)
		}
		c.isolate(leader, false)
		wait(2 * time.Second)
		c.start(leader)
		wait(time.Second)

		leader = c.leader()
		t.Logf("%s, the leader, is cut off: its connections stay open and carry nothing", leader)
		c.isolate(leader, true)
		wait(3 * time.Second)
		c.isolate(leader, false)
		wait(time.Second)
	})
}

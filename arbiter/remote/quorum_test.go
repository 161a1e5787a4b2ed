package remote_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
	"github.com/solevip/solevip/arbiter/remote"
	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/raftnode"
)

// quorum is three arbiters with disks and certificates, on loopback ports.
type quorum struct {
	t     testing.TB
	ttl   time.Duration
	dir   string // the authority in pki, the disks beside it
	names []string
	peers []raftnode.Peer
	wires map[[2]string]*arbitertest.Wire // between the arbiters: from, to
	nodes map[string]*raftnode.Node
}

const (
	shortTTL = 1500 * time.Millisecond // of the arbiters, for quick elections
	guestTTL = 3 * time.Second
	patience = 20 * time.Second
)

func newQuorum(t testing.TB, ttl time.Duration) *quorum {
	t.Helper()
	q := &quorum{t: t, ttl: ttl, dir: t.TempDir(), names: []string{"arb1", "arb2", "arb3"}, nodes: map[string]*raftnode.Node{}, wires: map[[2]string]*arbitertest.Wire{}}
	if _, err := cert.Init(q.pki(), "arbiters"); err != nil {
		t.Fatal(err)
	}
	for i, port := range arbitertest.Ports(t, len(q.names)) {
		q.peers = append(q.peers, raftnode.Peer{Name: q.names[i], Address: arbitertest.Local(port), Arbiter: true})
		if _, err := cert.Issue(q.pki(), q.names[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range q.names {
		for _, to := range q.peers {
			if from != to.Name {
				q.wires[[2]string{from, to.Name}] = arbitertest.NewWire(t, to.Address, nil)
			}
		}
	}
	t.Cleanup(func() {
		for name := range q.nodes {
			q.stop(name)
		}
	})
	for _, n := range q.names {
		q.start(n)
	}
	q.leader()
	return q
}

func (q *quorum) pki() string { return filepath.Join(q.dir, "pki") }

// own is an arbiter's own certificate.
func (q *quorum) own(name string) *cert.TLS {
	q.t.Helper()
	x, err := cert.Load(filepath.Join(q.pki(), cert.AuthorityCert), filepath.Join(q.pki(), name+".crt"), filepath.Join(q.pki(), name+".key"))
	if err != nil {
		q.t.Fatal(err)
	}
	return x
}

func (q *quorum) start(name string) {
	q.t.Helper()
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		for _, p := range q.peers {
			if p.Address == address {
				address = q.wires[[2]string{name, p.Name}].Address()
				break
			}
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
	n, err := raftnode.Start(context.Background(), raftnode.Options{
		Self: name, Cluster: "arbiters", Peers: q.peers, Dir: filepath.Join(q.dir, name), TLS: q.own(name), TTL: q.ttl,
		Dial: dial, Log: logOf(q.t, name),
	})
	if err != nil {
		q.t.Fatalf("start %s: %v", name, err)
	}
	q.nodes[name] = n
}

func (q *quorum) stop(name string) {
	q.t.Helper()
	n := q.nodes[name]
	delete(q.nodes, name)
	if err := n.Close(); err != nil {
		q.t.Errorf("stop %s: %v", name, err)
	}
}

// kill ends an arbiter that the others have no word of any more, and so hands over to nobody.
func (q *quorum) kill(name string) {
	q.t.Helper()
	for pair, w := range q.wires {
		if pair[0] == name || pair[1] == name {
			w.Stall()
			defer w.Heal()
		}
	}
	q.stop(name)
}

func (q *quorum) leader() string {
	q.t.Helper()
	var name string
	until(q.t, "a leader", func() bool {
		for _, n := range q.nodes {
			if n.Status().State == raftnode.Leader {
				name = n.Status().Leader
			}
		}
		return name != ""
	})
	return name
}

// admit makes a guest's certificate.
func (q *quorum) admit(cluster, node string) *cert.TLS {
	q.t.Helper()
	f, err := cert.Admit(q.pki(), cluster, node)
	if err != nil {
		q.t.Fatal(err)
	}
	x, err := cert.LoadGuest(f.CA, f.Cert, f.Key)
	if err != nil {
		q.t.Fatal(err)
	}
	return x
}

func (q *quorum) options(cluster, node string) remote.Options {
	o := remote.Options{
		Cluster: cluster, Node: node, TLS: q.admit(cluster, node), TTL: guestTTL, Dir: filepath.Join(q.dir, "guests", cluster, node),
		Log: logOf(q.t, node+"."+cluster),
	}
	for _, p := range q.peers {
		o.Arbiters = append(o.Arbiters, p.Address)
	}
	return o
}

// guest opens the ledger of a cluster as one of its nodes, until the test ends.
func (q *quorum) guest(cluster, node string) *remote.Ledger {
	q.t.Helper()
	return open(q.t, q.options(cluster, node))
}

func open(t testing.TB, o remote.Options) *remote.Ledger {
	t.Helper()
	l, err := remote.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// wired has a guest dial through wires, by arbiter, that the test can stall.
func (q *quorum) wired(o remote.Options) (remote.Options, map[string]*arbitertest.Wire) {
	byName, byAddress := map[string]*arbitertest.Wire{}, map[string]*arbitertest.Wire{}
	for _, p := range q.peers {
		byName[p.Name] = arbitertest.NewWire(q.t, p.Address, nil)
		byAddress[p.Address] = byName[p.Name]
	}
	o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", byAddress[address].Address())
	}
	return o, byName
}

func logOf(t testing.TB, name string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", name)
}

func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-limit.C:
			t.Fatalf("after %v: not yet %s", patience, what)
		}
	}
}

// mustTake takes a group, again after an outcome that isn't known, as the claim rule does.
func mustTake(t testing.TB, l *remote.Ledger, c arbiter.Take) arbiter.Record {
	t.Helper()
	for range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), guestTTL/4)
		r, err := l.Propose(ctx, c)
		cancel()
		if err == nil {
			return r
		}
		if arbiter.RefusedAs(err) != "" {
			t.Fatalf("%v: %v", c, err)
		}
		t.Logf("%v", err)
		if r = read(t, l); r.Groups[c.Group].Holder == c.Boot {
			return r
		}
	}
	t.Fatalf("%v: not agreed", c)
	return arbiter.Record{}
}

func propose(t testing.TB, l *remote.Ledger, c arbiter.Command) arbiter.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := l.Propose(ctx, c)
	if err != nil {
		t.Fatalf("%v: %v (%+v)", c, err, l.Status())
	}
	return r
}

func read(t testing.TB, l *remote.Ledger) arbiter.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := l.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func boot(node string) arbiter.Boot {
	return arbiter.Boot{Node: node, Kernel: "kernel-" + node, Incarnation: "incarnation-" + node}
}

package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/cert"
)

// fabric is a network in memory whose wires can be cut, in one direction or both. A cut wire
// swallows what is sent, like a dead switch: nobody is told.
type fabric struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	cuts      map[[2]string]bool // from, to
	wires     map[*cable]struct{}
}

func newFabric() *fabric {
	return &fabric{listeners: map[string]*memListener{}, cuts: map[[2]string]bool{}, wires: map[*cable]struct{}{}}
}

type memListener struct {
	name  string
	net   *fabric
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (f *fabric) listen(name string) *memListener {
	l := &memListener{name: name, net: f, queue: make(chan net.Conn), done: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners[name] = l
	return l
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[l.name] == l {
			delete(l.net.listeners, l.name)
		}
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return idAddr(l.name) }

// dialer dials as a node. Addresses are NAME:7420.
func (f *fabric) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		to, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		l, cut := f.listeners[to], f.cuts[[2]string{from, to}] || f.cuts[[2]string{to, from}]
		f.mu.Unlock()
		if cut {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if l == nil {
			return nil, errors.New("connection refused")
		}
		here, there := net.Pipe()
		a, b := &cable{Conn: here, net: f, from: from, to: to}, &cable{Conn: there, net: f, from: to, to: from}
		a.other, b.other = b, a
		f.mu.Lock()
		f.wires[a], f.wires[b] = struct{}{}, struct{}{}
		f.mu.Unlock()
		select {
		case l.queue <- b:
			return a, nil
		case <-l.done:
			a.Close()
			return nil, errors.New("connection refused")
		case <-ctx.Done():
			a.Close()
			return nil, ctx.Err()
		}
	}
}

// cable is one end of a connection.
type cable struct {
	net.Conn
	net      *fabric
	from, to string
	other    *cable

	mu   sync.Mutex
	dead bool // something was lost on the way, so nothing later can arrive
}

func (w *cable) Write(b []byte) (int, error) {
	w.net.mu.Lock()
	cut := w.net.cuts[[2]string{w.from, w.to}]
	w.net.mu.Unlock()
	w.mu.Lock()
	w.dead = w.dead || cut
	dead := w.dead
	w.mu.Unlock()
	if dead {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// Close tells the other end only over an uncut wire.
func (w *cable) Close() error {
	w.net.mu.Lock()
	cut := w.net.cuts[[2]string{w.from, w.to}]
	delete(w.net.wires, w)
	w.net.mu.Unlock()
	if cut {
		return w.Conn.SetDeadline(time.Unix(1, 0)) // only this end notices
	}
	return w.Conn.Close()
}

// cut swallows everything from one node to another.
func (f *fabric) cut(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts[[2]string{from, to}] = true
}

func (f *fabric) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.cuts)
}

// end closes what cut wires have left half open.
func (f *fabric) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.wires {
		w.Conn.Close()
	}
}

// cluster is a set of nodes on a fabric, with their disks.
type cluster struct {
	t      testing.TB
	net    *fabric
	dir    string
	peers  []Peer
	ttl    time.Duration
	tls    map[string]*cert.TLS // nil for an insecure cluster
	log    *slog.Logger
	nodes  map[string]*Node
	tuneup func(*Options) // last change before a start
}

// newCluster makes a cluster of which nothing runs yet. Names that begin with "arb" are arbiters.
func newCluster(t testing.TB, names ...string) *cluster {
	c := &cluster{t: t, net: newFabric(), dir: t.TempDir(), ttl: 1500 * time.Millisecond, nodes: map[string]*Node{}, log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		c.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	for _, n := range names {
		c.peers = append(c.peers, Peer{Name: n, Address: n + ":7420", Arbiter: len(n) > 2 && n[:3] == "arb"})
	}
	return c
}

func (c *cluster) options(name string) Options {
	o := Options{
		Self: name, Cluster: "orders", Peers: c.peers, Dir: filepath.Join(c.dir, name), Insecure: c.tls == nil, TTL: c.ttl,
		Log: c.log.With("node", name), Listener: c.net.listen(name), Dial: c.net.dialer(name),
	}
	if c.tls != nil {
		o.TLS = c.tls[name]
	}
	if c.tuneup != nil {
		c.tuneup(&o)
	}
	return o
}

func (c *cluster) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		o := c.options(name)
		n, err := Start(context.Background(), o)
		if err != nil {
			c.t.Fatalf("start %s: %v", name, err)
		}
		c.nodes[name] = n
	}
}

func (c *cluster) startAll() {
	c.t.Helper()
	c.start(nodeNames(c.peers)...)
}

// crash ends a node without a word to the others.
func (c *cluster) crash(name string) {
	c.t.Helper()
	c.isolate(name)
	n := c.nodes[name]
	delete(c.nodes, name)
	if err := n.Close(); err != nil {
		c.t.Errorf("crash %s: %v", name, err)
	}
	c.rejoin(name)
}

func (c *cluster) isolate(name string) {
	for _, p := range c.peers {
		c.net.cut(name, p.Name)
		c.net.cut(p.Name, name)
	}
}

func (c *cluster) rejoin(name string) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for pair := range c.net.cuts {
		if pair[0] == name || pair[1] == name {
			delete(c.net.cuts, pair)
		}
	}
}

func (c *cluster) stop(name string) {
	c.t.Helper()
	n := c.nodes[name]
	delete(c.nodes, name)
	if err := n.Close(); err != nil {
		c.t.Errorf("stop %s: %v", name, err)
	}
}

func (c *cluster) stopAll() {
	for name := range c.nodes {
		c.stop(name)
	}
	c.net.end()
}

// until waits for a condition, in the time that the test runs in.
func (c *cluster) until(what string, limit time.Duration, cond func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !cond() {
		if time.Since(began) > limit {
			for name, n := range c.nodes {
				c.t.Logf("%s: %+v", name, n.Status())
			}
			c.t.Fatalf("after %v: not yet %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// leader waits until all running nodes agree on a running leader, and returns it.
func (c *cluster) leader() string {
	c.t.Helper()
	var name string
	c.until("one leader", 30*time.Second, func() bool {
		name = ""
		for _, n := range c.nodes {
			s := n.Status()
			if s.Leader == "" || name != "" && s.Leader != name || !s.Quorum {
				return false
			}
			name = s.Leader
		}
		n := c.nodes[name]
		return n != nil && n.Status().State == Leader
	})
	return name
}

func (c *cluster) follower() string {
	leader := c.leader()
	for _, name := range nodeNames(c.peers) {
		if name != leader && c.nodes[name] != nil {
			return name
		}
	}
	c.t.Fatal("no follower")
	return ""
}

func boot(node string) arbiter.Boot {
	return arbiter.Boot{Node: node, Kernel: "kernel-" + node, Incarnation: "incarnation-" + node}
}

// propose has a command agreed by its actor's node, or fails the test.
func (c *cluster) propose(cmd arbiter.Command) arbiter.Record {
	c.t.Helper()
	r, err := c.try(cmd, 10*time.Second)
	if err != nil {
		c.t.Fatalf("propose: %v", err)
	}
	return r
}

func (c *cluster) try(cmd arbiter.Command, limit time.Duration) (arbiter.Record, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("the test's limit of %v", limit))
	defer cancel()
	return c.nodes[cmd.Actor()].Propose(ctx, cmd)
}

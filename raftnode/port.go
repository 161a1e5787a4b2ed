package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/raftnode/wire"
)

// port is the one port between the nodes: it accepts and dials, proves who is there, and sorts
// Raft streams from request streams.
type port struct {
	opt  *Options
	ln   net.Listener
	log  *slog.Logger
	said *seldom
	// identity is asked at each greeting: the ledger's id, and this node's server id while its
	// Raft is running ("" otherwise).
	identity func() (ledger, server string)
	onRaft   func(net.Conn)
	onAsk    func(ctx context.Context, who caller, c net.Conn)
	beat     time.Duration // the ledger's heartbeat

	mu     sync.Mutex
	conns  map[*tracked]struct{}
	closed bool
	wg     sync.WaitGroup
}

// maxHandshakes is how many connections there may be that haven't yet proved who they are.
const maxHandshakes = 64

// caller is who is at the other end: a node of this cluster (space is own), or a guest.
type caller struct {
	node, space string
}

// accept runs until the listener is closed.
func (p *port) accept(ctx context.Context) {
	slots := make(chan struct{}, maxHandshakes)
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if p.said.ok("accept") {
				p.log.Warn("ledger port: accept failed", "err", err)
			}
			select { // most likely out of file descriptors
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		if !p.begin() {
			conn.Close()
			return
		}
		go func() {
			defer p.wg.Done()
			kind, who, c, err := p.welcome(ctx, conn)
			<-slots
			if err != nil {
				conn.Close()
				if !errors.Is(err, errProbe) && p.said.ok(err.Error()) {
					p.log.Warn("ledger port: connection refused", "remote", conn.RemoteAddr().String(), "err", err)
				}
				return
			}
			if kind == wire.KindRaft {
				p.onRaft(c)
				return
			}
			defer c.Close()
			p.onAsk(ctx, who, c)
		}()
	}
}

// begin counts a connection's goroutine in; false says that the port is closing.
func (p *port) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Add(1)
	return true
}

// spawn runs a goroutine that the port waits for; false says that the port is closing.
func (p *port) spawn(f func()) bool {
	if !p.begin() {
		return false
	}
	go func() {
		defer p.wg.Done()
		f()
	}()
	return true
}

// errProbe is a connection that said nothing: a port scan, or a health check.
var errProbe = errors.New("the connection closed before it said anything")

// welcome lets a connection prove who it is.
func (p *port) welcome(ctx context.Context, raw net.Conn) (kind byte, who caller, c net.Conn, err error) {
	if err := raw.SetDeadline(time.Now().Add(wire.GreetLimit)); err != nil {
		return 0, who, nil, errProbe
	}
	t := &tracked{Conn: raw, raw: raw, port: p}
	if !p.track(t) {
		return 0, who, nil, net.ErrClosed
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	var state tls.ConnectionState
	if p.opt.TLS != nil {
		tc := tls.Server(raw, p.opt.TLS.Server)
		if err := tc.HandshakeContext(ctx); err != nil {
			return 0, who, nil, fmt.Errorf("no proof of identity: %w", err)
		}
		t.Conn, state = tc, tc.ConnectionState()
	}
	var first [1]byte
	if _, err := t.Read(first[:]); err != nil {
		return 0, who, nil, errProbe
	}
	var g wire.Greeting
	if err := wire.Read(t, &g, wire.MaxGreeting); err != nil {
		return 0, who, nil, fmt.Errorf("greeting: %w", err)
	}
	who, refused := p.meet(first[0], g, state)
	w := wire.Welcome{Heartbeat: p.beat}
	if refused != nil {
		w.Error = refused.Error()
	}
	if err := wire.Write(t, w, wire.MaxGreeting); err != nil {
		return 0, who, nil, fmt.Errorf("greeting: %w", err)
	}
	if refused != nil {
		return 0, who, nil, fmt.Errorf("from node %q: %w", g.From, refused)
	}
	return first[0], who, t, raw.SetDeadline(time.Time{})
}

// meet says who is there, and why a greeting is refused.
func (p *port) meet(kind byte, g wire.Greeting, state tls.ConnectionState) (caller, error) {
	if kind == wire.KindGuest {
		guest, err := cert.GuestOf(state)
		who := caller{node: guest.Node, space: guest.Cluster}
		return who, p.judgeGuest(g, who, err)
	}
	var proved string
	if p.opt.TLS != nil {
		var err error
		if proved, err = cert.PeerName(state); err != nil {
			return caller{}, err
		}
	}
	return caller{node: g.From, space: own}, p.judge(kind, g, proved)
}

// judge says why a greeting is refused, in words for the log of both nodes.
func (p *port) judge(kind byte, g wire.Greeting, proved string) error {
	ledger, id := p.identity()
	self := p.opt.Self
	switch {
	case kind != wire.KindRaft && kind != wire.KindRequest:
		return fmt.Errorf("unknown kind of stream %q", kind)
	case g.Version != wire.Version:
		return fmt.Errorf("%s speaks version %d of the wire format, and not %d: run the same release on all nodes", self, wire.Version, g.Version)
	case p.opt.TLS != nil && g.From != proved:
		return fmt.Errorf("the certificate is for node %q, not for %q", proved, g.From)
	case g.Cluster != p.opt.Cluster:
		return fmt.Errorf("%s is a node of cluster %q, not of %q", self, p.opt.Cluster, g.Cluster)
	case g.From == self || !slices.Contains(p.opt.others(), g.From):
		return fmt.Errorf("%s's file lists no other node %q (it lists %v): use the same file on every node", self, g.From, nodeNames(p.opt.Peers))
	case g.Ledger != "" && ledger != "" && g.Ledger != ledger:
		return fmt.Errorf("%s is part of ledger %s, not of %s: one of the two nodes has the state of another cluster; move its state directory away", self, ledger, g.Ledger)
	case kind == wire.KindRequest && g.To != self:
		return fmt.Errorf("this is node %s, not %s: check the addresses in the file", self, g.To)
	case kind == wire.KindRaft && id == "":
		return fmt.Errorf("%s takes no part in the ledger now", self)
	case kind == wire.KindRaft && g.To != id:
		return fmt.Errorf("this is %s, not %s", id, g.To)
	}
	return nil
}

// dial opens a stream to a node, or to a server id for Raft.
func (p *port) dial(ctx context.Context, kind byte, to string) (_ net.Conn, err error) {
	name := nodeOf(raft.ServerID(to))
	ctx, cancel := context.WithTimeout(ctx, wire.GreetLimit)
	defer cancel()
	raw, err := p.opt.Dial(ctx, p.opt.peer(name).Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	t := &tracked{Conn: raw, raw: raw, port: p}
	if !p.track(t) {
		raw.Close()
		return nil, fmt.Errorf("connect to %s: %w", name, net.ErrClosed)
	}
	stop := context.AfterFunc(ctx, func() { t.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			t.Close()
			err = fmt.Errorf("connect to %s: %w", name, err)
		}
	}()
	if p.opt.TLS != nil {
		cfg := p.opt.TLS.Client.Clone()
		cfg.ServerName = name
		tc := tls.Client(raw, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		if proved, err := cert.PeerName(tc.ConnectionState()); err != nil || proved != name {
			return nil, errors.Join(fmt.Errorf("the certificate there is for node %q", proved), err)
		}
		t.Conn = tc
	}
	ledger, _ := p.identity()
	hello := wire.Greeting{Version: wire.Version, Cluster: p.opt.Cluster, Ledger: ledger, From: p.opt.Self, To: to}
	if _, err := t.Write([]byte{kind}); err != nil {
		return nil, err
	}
	if err := wire.Write(t, hello, wire.MaxGreeting); err != nil {
		return nil, err
	}
	var w wire.Welcome
	if err := wire.Read(t, &w, wire.MaxGreeting); err != nil {
		return nil, err
	}
	if w.Error != "" {
		return nil, fmt.Errorf("refused: %s", w.Error)
	}
	return t, nil
}

// close ends the listener and every connection, and waits for their goroutines.
func (p *port) close() {
	p.mu.Lock()
	p.closed = true
	open := p.conns
	p.conns = nil
	p.mu.Unlock()
	p.ln.Close()
	for c := range open {
		c.Close()
	}
	p.wg.Wait()
}

// hangUp ends the connections that there are, and lets new ones come.
func (p *port) hangUp() {
	p.mu.Lock()
	var open []*tracked
	for c := range p.conns {
		open = append(open, c)
	}
	p.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

func (p *port) track(t *tracked) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[t] = struct{}{}
	return true
}

// tracked is a connection that its port can close. Closing skips TLS's farewell, which could
// block on a dead peer: every message here says its own length.
type tracked struct {
	net.Conn
	raw  net.Conn
	port *port
}

func (t *tracked) Close() error {
	t.port.mu.Lock()
	delete(t.port.conns, t)
	t.port.mu.Unlock()
	return t.raw.Close()
}

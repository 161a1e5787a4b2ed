package raftnode

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/raftnode/wire"
)

// streams is the Raft part of the port, as raft.StreamLayer wants it.
type streams struct {
	port  *port
	life  context.Context // the node's: dialling ends with it
	self  raft.ServerID
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newStreams(life context.Context, p *port, self raft.ServerID) *streams {
	return &streams{port: p, life: life, self: self, queue: make(chan net.Conn), done: make(chan struct{})}
}

// deliver hands over an accepted stream.
func (s *streams) deliver(c net.Conn) {
	select {
	case s.queue <- c:
	case <-s.done:
		c.Close()
	}
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.queue:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The port stays open for requests.
func (s *streams) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// Addr implements net.Listener: Raft knows servers by id, and so is their address.
func (s *streams) Addr() net.Addr { return idAddr(s.self) }

// Dial implements raft.StreamLayer.
func (s *streams) Dial(to raft.ServerAddress, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.life, limit)
	defer cancel()
	return s.port.dial(ctx, wire.KindRaft, string(to))
}

type idAddr string

func (idAddr) Network() string  { return "solevip" }
func (a idAddr) String() string { return string(a) }

// patient is Raft's network transport, but it tries an append to a dead peer again by itself
// instead of reporting each failure. Raft answers failures with a back-off of up to 10 s that
// nothing interrupts, and so a peer that was cut off for a minute would be no use to a quorum for
// 10 s after it was healed, which is longer than a lease.
type patient struct {
	*raft.NetworkTransport
	every time.Duration // between tries
	// wanted says that this node still leads in the term and that the peer is in the
	// configuration: otherwise there's no point in trying on.
	wanted func(term uint64, peer raft.ServerID) bool
	done   <-chan struct{}
	// stalled says that this node's disk keeps it from leading. Its heartbeats need no disk, so they
	// are kept back: the others elect somebody else before the leases end.
	stalled func() bool
}

var errStalled = errors.New("this node's disk hangs")

// AppendEntries implements raft.Transport.
func (p *patient) AppendEntries(id raft.ServerID, to raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	for {
		err := errStalled
		if !p.stalled() {
			err = p.NetworkTransport.AppendEntries(id, to, req, resp)
		}
		heartbeat := len(req.Entries) == 0 && req.PrevLogEntry == 0 && req.LeaderCommitIndex == 0
		if err == nil || heartbeat || !p.wanted(req.Term, id) {
			return err
		}
		select {
		case <-time.After(p.every):
		case <-p.done:
			return err
		}
		*resp = raft.AppendEntriesResponse{}
	}
}

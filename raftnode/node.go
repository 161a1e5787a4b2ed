package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// Raft's own settings that don't follow from the ttl. A node beats a few times per ttl, so the log
// grows by some 300,000 small entries a day; the record itself is small.
const (
	snapshotEvery   = time.Minute
	snapshotEntries = 8192
	trailingEntries = 4096
	maxAppend       = 64
	logCache        = 512
	maxPool         = 3 // connections kept per peer
)

// Node is one node's part in the ledger.
type Node struct {
	opt     Options
	timing  Timing
	log     *slog.Logger
	store   *store
	guard   *watchdog
	feed    *wire.Feed
	fsm     *machine
	beats   batcher
	port    *port
	links   map[string]*wire.Link
	encoded *encoder
	leader  leadership
	said    *seldom
	failed  chan error
	life    context.Context // the node's own, no caller's; its goroutines end with it
	stop    context.CancelFunc
	wg      sync.WaitGroup

	membership sync.Mutex // one change of membership at a time
	closing    sync.Once
	closeErr   error

	mu       sync.Mutex
	raft     *raft.Raft // nil until this disk has a part in the ledger
	streams  *streams
	wire     *raft.NetworkTransport
	ledger   string // the formed ledger's id
	problem  string
	troubled time.Time // since when there has been a problem
	lost     bool      // the ledger doesn't know this node by this disk
	unlisted bool      // nor by any other: it waits to be added
	doubt    bool      // a proposal of ours went unanswered, and nothing was agreed since
	failure  error
	closed   bool
	over     bool // closed for good: failed tells nothing more
}

// Start opens the node's disk and port and begins to take part. It returns before there is a
// leader, or even a ledger: Status says how far the node is. The context bounds only the start.
func Start(ctx context.Context, opt Options) (*Node, error) {
	opt.Peers = slices.Clone(opt.Peers)
	if err := opt.check(); err != nil {
		return nil, err
	}
	timing, err := TimingFor(opt.TTL)
	if err != nil {
		return nil, err
	}
	s, err := openStore(opt.Dir, opt.Self, opt.Cluster, opt.Log)
	if err != nil {
		return nil, err
	}
	ln := opt.Listener
	if ln == nil {
		if ln, err = listenTCP(ctx, opt.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("ledger port: %w", err), s.close())
		}
	}
	life, stop := context.WithCancel(context.Background())
	n := &Node{
		encoded: &encoder{known: map[string]encoded{}}, opt: opt, timing: timing, log: opt.Log, store: s, feed: wire.NewFeed(), said: newSeldom(repeatEvery),
		links: map[string]*wire.Link{}, failed: make(chan error, 1), life: life, stop: stop,
	}
	n.guard = &watchdog{storage: s.bolt, limit: timing.Stall, slow: timing.Slow, trip: n.fail}
	if opt.disk != nil {
		n.guard.storage = opt.disk(s.bolt)
	}
	n.fsm = newMachine(n.feed, n.fail)
	n.beats = batcher{propose: n.agree, start: n.wg.Go}
	n.port = &port{
		opt: &n.opt, ln: ln, log: n.log, said: newSeldom(time.Minute), conns: map[*tracked]struct{}{},
		beat: timing.Heartbeat, identity: n.identity, onRaft: n.onRaft, onAsk: n.serve,
	}
	for _, peer := range opt.others() {
		n.links[peer] = wire.NewLink(wire.LinkOptions{
			Peer: peer, Go: n.port.spawn, Quiet: func() time.Duration { return timing.Heartbeat },
			Dial: func(ctx context.Context) (net.Conn, error) { return n.port.dial(ctx, wire.KindRequest, peer) },
		})
	}
	if err := n.resume(); err != nil {
		stop()
		return nil, errors.Join(err, ln.Close(), n.haltRaft(), s.close())
	}
	n.wg.Go(func() { n.port.accept(life) })
	n.wg.Go(func() { n.admit(life) })
	n.wg.Go(func() { n.trackLeader(life) })
	n.wg.Go(func() { n.steer(life) })
	n.wg.Go(func() { n.follow(life) })
	n.wg.Go(func() { n.openFeed(life) })
	n.log.Info("ledger port open", "listen", ln.Addr().String(), "id", string(s.id()), "heartbeat", timing.Heartbeat, "tls", opt.TLS != nil)
	return n, nil
}

// resume goes on with what the disk holds, if it holds anything.
func (n *Node) resume() error {
	ledger, err := n.store.ledger()
	if err != nil {
		return err
	}
	last, err := n.store.bolt.LastIndex()
	if err != nil {
		return fmt.Errorf("ledger log: %w", err)
	}
	if ledger == "" && last > 0 { // the start that formed the ledger ended before it was noted
		ids, err := n.store.pledge()
		if err != nil {
			return err
		}
		ledger = ledgerID(n.opt.Cluster, ids)
		if err := n.store.setLedger(ledger); err != nil {
			return err
		}
	}
	if ledger == "" {
		return nil
	}
	n.setLedger(ledger)
	return n.startRaft(nil)
}

// startRaft begins to take part with this disk; ids, when given, is the configuration to form.
func (n *Node) startRaft(ids []string) error {
	conf := raft.DefaultConfig()
	conf.LocalID = n.store.id()
	conf.HeartbeatTimeout, conf.ElectionTimeout = n.timing.Heartbeat, n.timing.Heartbeat
	conf.LeaderLeaseTimeout, conf.CommitTimeout = n.timing.Lease, n.timing.Commit
	conf.MaxAppendEntries, conf.TrailingLogs = maxAppend, trailingEntries
	conf.SnapshotInterval, conf.SnapshotThreshold = snapshotEvery, snapshotEntries
	conf.NoLegacyTelemetry = true
	// Unbuffered: a proposal is either taken by the leader's loop or certainly not.
	conf.BatchApplyCh = false
	// A removed node goes on asking to be admitted; it can't win an election.
	conf.ShutdownOnRemove = false
	conf.Logger = raftLogger(n.log)

	s := newStreams(n.life, n.port, n.store.id())
	wire := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s, MaxPool: maxPool, Timeout: max(2*n.timing.Heartbeat, 500*time.Millisecond), Logger: conf.Logger,
		MaxRPCsInFlight: 1, // a pipeline can wedge on a follower whose disk stalled (hashicorp/raft issue 612)
	})
	trans := &patient{NetworkTransport: wire, every: n.timing.Heartbeat / 2, wanted: n.leads, done: n.life.Done(), stalled: n.guard.stalled}
	if ids != nil {
		if err := n.store.bootstrap(ids, conf, trans); err != nil {
			return errors.Join(err, wire.Close())
		}
	}
	cache, err := raft.NewLogCache(logCache, n.guard)
	if err != nil {
		return errors.Join(err, wire.Close())
	}
	r, err := raft.NewRaft(conf, n.fsm, cache, n.guard, n.store.snaps, trans)
	if err != nil {
		return errors.Join(fmt.Errorf("ledger: %w", err), wire.Close())
	}
	n.mu.Lock()
	n.raft, n.streams, n.wire = r, s, wire
	gone := n.failure != nil
	n.mu.Unlock()
	if gone { // the disk failed meanwhile
		return n.haltRaft()
	}
	return nil
}

// leads says whether this node leads in the term and the server is in the configuration.
func (n *Node) leads(term uint64, peer raft.ServerID) bool {
	r := n.currentRaft()
	if r == nil || r.State() != raft.Leader || r.CurrentTerm() != term {
		return false
	}
	return slices.ContainsFunc(r.GetConfiguration().Configuration().Servers, func(s raft.Server) bool { return s.ID == peer })
}

func (n *Node) currentRaft() *raft.Raft {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.raft
}

// identity is what the port answers and gives in greetings.
func (n *Node) identity() (ledger, server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.raft != nil && n.failure == nil && !n.closed {
		server = string(n.store.id())
	}
	return n.ledger, server
}

func (n *Node) setLedger(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ledger = id
}

// onRaft takes an accepted Raft stream.
func (n *Node) onRaft(c net.Conn) {
	n.mu.Lock()
	s := n.streams
	n.mu.Unlock()
	if s == nil {
		c.Close()
		return
	}
	s.deliver(c)
}

// fail makes the node leave the quorum for good: its disk can't be relied on any more. The first
// cause is the one that is told.
func (n *Node) fail(cause error) {
	n.mu.Lock()
	first := n.failure == nil && !n.over
	if first {
		n.failure = cause
		n.failed <- cause // it has room for the one
	}
	r := n.raft
	n.mu.Unlock()
	if !first {
		return
	}
	n.log.Error("the ledger's disk failed; this node leaves the quorum until it is restarted", "err", cause, "dir", filepath.Join(n.opt.Dir, "raft"))
	if r != nil {
		r.Shutdown() // doesn't wait: Raft itself may be what hangs on the disk
	}
	n.port.hangUp()
}

// Failed tells, once, why this node had to leave the quorum: its log's disk failed or hung. The
// node then refuses everything; the process should be restarted once the disk is well. The channel
// is closed when the node is.
func (n *Node) Failed() <-chan error { return n.failed }

// haltRaft stops Raft and waits, but not for a disk that hangs.
func (n *Node) haltRaft() error {
	n.mu.Lock()
	r, wire, failure := n.raft, n.wire, n.failure
	n.mu.Unlock()
	if r == nil {
		return nil
	}
	done := r.Shutdown()
	if failure == nil {
		if err := await(done, n.timing.Stall+time.Second, nil); err != nil {
			return fmt.Errorf("stop Raft: %w", err)
		}
	}
	return wire.Close()
}

// await waits for a future of Raft, which has no deadline of its own. A future that Raft never
// resolves, because it was shut down around it, keeps one goroutine.
func await(f raft.Future, limit time.Duration, done <-chan struct{}) error {
	got := make(chan error, 1)
	go func() { got <- f.Error() }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-got:
		return err
	case <-t.C:
		return errNoResult
	case <-done:
		return errNoResult
	}
}

// errNoResult says that Raft gave no result in time.
var errNoResult = errors.New("no result in time")

// Close leaves gracefully: a leader hands over first. It takes at most a few seconds.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	r := n.currentRaft()
	if r != nil && r.State() == raft.Leader {
		// Best effort: without a transfer the others elect somebody by themselves.
		if err := await(r.LeadershipTransfer(), 2*n.timing.Heartbeat, nil); err != nil {
			n.log.Debug("no hand-over of leadership", "err", err)
		}
	}
	n.mu.Lock()
	n.closed = true
	failed := n.failure != nil
	n.mu.Unlock()
	n.stop()
	err := n.haltRaft()
	n.port.close()
	n.wg.Wait()
	n.feed.Close()
	n.mu.Lock()
	n.over = true
	close(n.failed)
	n.mu.Unlock()
	if failed {
		return err // the file's lock goes with the process: closing it could hang as well
	}
	return errors.Join(err, n.store.close())
}

// Watch returns a channel that always holds the newest record that the reader hasn't fetched, and
// nothing older than it has. It is closed when ctx is done or the node closes. The first record
// comes with the first commit that this node learns of after its start.
func (n *Node) Watch(ctx context.Context) <-chan arbiter.Record {
	w, end := n.feed.Watch()
	context.AfterFunc(ctx, end)
	return w
}

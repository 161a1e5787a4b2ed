package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// Ledger is one node's way to its cluster's ledger at the arbiters.
type Ledger struct {
	o     Options
	feed  *wire.Feed
	posts []*post
	life  context.Context // the ledger's own, no caller's
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu     sync.Mutex
	conns  map[*tracked]struct{}
	closed bool
	doubt  bool // a proposal went unanswered, and nothing was agreed since
	memory memory
	other  error // the arbiters keep another ledger than before

	// The arbiter to ask; nil when none is known that leads or knows who does. reign ends at the
	// next change.
	to     *post
	reign  context.Context
	depose context.CancelFunc
}

// Open begins to connect to the arbiters, and returns before it has: Status says how far it is.
func Open(o Options) (*Ledger, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m, err := openMemory(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{o: o, feed: wire.NewFeed(), conns: map[*tracked]struct{}{}, memory: m}
	l.life, l.stop = context.WithCancel(context.Background())
	l.reign, l.depose = context.WithCancel(context.Background())
	for _, a := range o.Arbiters {
		p := &post{address: a}
		p.link = wire.NewLink(wire.LinkOptions{
			Peer: "arbiter " + a, Go: l.spawn, Quiet: p.patience,
			Dial: func(ctx context.Context) (net.Conn, error) { return l.dial(ctx, p) },
		})
		l.posts = append(l.posts, p)
	}
	for _, p := range l.posts {
		l.wg.Go(func() { l.attend(l.life, p) })
	}
	l.wg.Go(func() { l.openFeed(l.life) })
	l.wg.Go(func() { l.look(l.life) })
	return l, nil
}

// Close ends every connection. Nothing that was agreed is undone by it.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closed = true
	open := l.conns
	l.conns = nil
	l.mu.Unlock()
	l.stop()
	for c := range open {
		c.Close()
	}
	l.wg.Wait()
	l.feed.Close()
	return nil
}

func (l *Ledger) track(t *tracked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[t] = struct{}{}
	return true
}

// spawn runs a goroutine that Close waits for; false says that the ledger is closing.
func (l *Ledger) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wg.Go(f)
	return true
}

// known is the ledger that this node has been part of.
func (l *Ledger) known() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.memory.ledger
}

// sameLedger refuses a ledger that is not the one this node has been part of.
func (l *Ledger) sameLedger(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.memory.is(id)
	l.other = nil
	if errors.Is(err, ErrOtherLedger) {
		l.other = err
	}
	return err
}

// look notices arbiters that have fallen silent.
func (l *Ledger) look(ctx context.Context) {
	for ctx.Err() == nil {
		l.choose()
		beat := firstHeartbeat
		for _, p := range l.posts {
			beat = min(beat, p.beat())
		}
		pause(ctx, nil, beat/5)
	}
}

// choose picks the arbiter to ask: the leader, else one that knows the leader. Of several that say
// that they lead, the one of the highest term does.
func (l *Ledger) choose() {
	var best *post
	var seen wire.Beacon
	for _, p := range l.posts {
		v := p.view()
		b := v.beacon
		switch {
		case !v.lit || !b.Leads && b.Leader == "":
		case best == nil, b.Leads && !seen.Leads, b.Leads == seen.Leads && b.Term > seen.Term:
			best, seen = p, b
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to == best {
		return
	}
	l.to = best
	l.depose()
	l.reign, l.depose = context.WithCancel(context.Background())
}

// route is the arbiter to ask, and a context that ends when it is another.
func (l *Ledger) route() (*post, context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to, l.reign
}

// Watch returns a channel that always holds the newest record that the reader hasn't fetched, and
// nothing older than it has. It is closed when ctx is done or the ledger is closed. The first record
// comes with the first that was read through a commit.
func (l *Ledger) Watch(ctx context.Context) <-chan arbiter.Record {
	w, end := l.feed.Watch()
	context.AfterFunc(ctx, end)
	return w
}

// openFeed reads the ledger through a commit once; from then on this node's record is newer than
// whatever it showed before it was restarted.
func (l *Ledger) openFeed(ctx context.Context) {
	for ctx.Err() == nil {
		limit, cancel := context.WithTimeout(ctx, l.o.TTL)
		_, err := l.Read(limit)
		cancel()
		if err == nil {
			return
		}
		pause(ctx, nil, firstHeartbeat/4)
	}
}

// Status is this node's view of the ledger, for people.
type Status struct {
	Leader string // the arbiter's name, "" when unknown
	// Quorum says that a proposal would be agreed now, as far as this node can tell. It decides nothing.
	Quorum  bool
	Problem string // what keeps this node from the ledger, or ""
	// Warnings are further things that an operator should know.
	Warnings []string
	Index    uint64 // of the newest record this node knows
}

// Status tells how the arbiters are reached.
func (l *Ledger) Status() Status {
	l.mu.Lock()
	to, doubt, other := l.to, l.doubt, l.other
	l.mu.Unlock()
	var s Status
	if r, known := l.feed.Record(); known {
		s.Index = r.Index
	}
	if to != nil {
		if v := to.view(); v.beacon.Leads {
			s.Leader = v.name
		} else {
			s.Leader = v.beacon.Leader
		}
		s.Quorum = !doubt
	}
	if other != nil && to == nil {
		s.Problem = other.Error()
		return s
	}
	var slow string
	for _, p := range l.posts {
		v := p.view()
		if !v.lit {
			s.Warnings = append(s.Warnings, fmt.Sprintf("arbiter %s is not reached: %s", p.address, v.why))
		}
		if v.heartbeat > 0 && slow == "" {
			slow = tooSlow(l.o.TTL, v.heartbeat)
		}
	}
	if slow != "" {
		s.Warnings = append(s.Warnings, slow)
	}
	if to == nil {
		s.Problem = "no arbiter is reached that leads or knows the leader: a majority of them must be up and reach each other"
	}
	return s
}

package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Ledger is one node's access to its cluster's ledger.
type Ledger struct {
	opt    Options
	prefix string
	timing timing
	log    *slog.Logger
	ends   *endpoints
	feed   *feed
	life   context.Context // the ledger's own, no caller's; its goroutines end with it
	stop   context.CancelFunc
	wg     sync.WaitGroup

	session string // tells this life's operations from any other's
	ops     atomic.Uint64
	stir    chan struct{} // something is to be kept
	moved   chan struct{} // a read showed something new

	closing  sync.Once
	closeErr error

	mu sync.Mutex
	// exact is the newest view that linearizable answers gave, each complete.
	exact *view
	// newest may be ahead of it by what was watched.
	newest *view
	// wentBack says what etcd forgot, since when; while it does, nothing moves.
	wentBack string
	since    time.Time
	// met is when a ledger that this node had no memory of was first seen.
	met      time.Time
	answered time.Time // when the last request that was answered was sent
	doubt    bool      // a proposal went unanswered, and nothing was since
	trouble  error     // the last error of a read, until one succeeds
	kept     *view     // what the memory on disk is of; only keep writes it
	survey   survey
}

// Open begins to keep the ledger. It doesn't wait for etcd to have a quorum: Status says how it
// stands. It fails when the options, the node's memory, or etcd's word say that waiting won't help.
// The context bounds only the opening.
func Open(ctx context.Context, opt Options) (*Ledger, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	past, err := recall(&opt)
	if err != nil {
		return nil, err
	}
	t := timingFor(opt.TTL)
	ends, err := newEndpoints(&opt, t)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	l := &Ledger{
		opt: opt, prefix: opt.keyPrefix(), timing: t, log: opt.Log, ends: ends, feed: newFeed(), life: life, stop: stop,
		session: rand.Text()[:10], stir: make(chan struct{}, 1), moved: make(chan struct{}, 1), newest: past, kept: past,
	}
	first, cancel := context.WithTimeout(ctx, 4*t.attempt)
	_, err = l.fetch(first)
	cancel()
	var unreadable *unreadableError
	if permanent(err) || errors.As(err, &unreadable) {
		stop()
		ends.close()
		return nil, err
	}
	if err != nil && !errors.Is(err, ErrWentBack) {
		l.log.Warn("etcd doesn't answer yet; trying on", "err", err)
	}
	l.wg.Go(func() { l.follow(life) })
	l.wg.Go(func() { l.probe(life) })
	l.wg.Go(func() { l.remember(life) })
	return l, nil
}

// Watch returns a channel that always holds the newest record that the reader hasn't fetched, and
// nothing older than it has. It is closed when ctx is done or the ledger is closed.
func (l *Ledger) Watch(ctx context.Context) <-chan arbiter.Record {
	w, end := l.feed.watch()
	context.AfterFunc(ctx, end)
	return w
}

// Close ends every request under way. It says nothing to etcd: whatever this node holds there, it
// goes on holding.
func (l *Ledger) Close() error {
	l.closing.Do(func() {
		l.stop()
		l.ends.close()
		l.wg.Wait()
		l.feed.close()
		l.closeErr = l.keep()
	})
	return l.closeErr
}

// known is the newest view there is: what a later answer must not contradict.
func (l *Ledger) known() *view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// settle takes a complete view that a linearizable answer gave to a request sent when before was
// known.
func (l *Ledger) settle(before, now *view, sent time.Time) error {
	why := before.contradicts(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if sent.After(l.answered) {
		l.answered = sent
	}
	if why != "" {
		l.distrust(why)
		return fmt.Errorf("%w: %s: %w", ErrWentBack, why, ErrNotProposed)
	}
	if l.wentBack != "" && before != l.newest {
		return fmt.Errorf("%w: %s: %w", ErrWentBack, l.wentBack, ErrNotProposed)
	}
	if l.wentBack != "" {
		l.log.Warn("the ledger is one again that this node may act on", "ledger", now.meta.ID, "was", l.wentBack)
		l.wentBack, l.exact = "", nil
	}
	l.doubt, l.trouble = false, nil
	if before == nil && l.newest == nil && now.formed() {
		l.met = time.Now()
		l.log.Info("this node meets the ledger for the first time; it takes nothing before whoever held something by another has stopped", "ledger", now.meta.ID, "wait", l.timing.wait)
	}
	if now.formed() && now.index() > l.exact.index() {
		l.exact = now
	}
	l.advance(now)
	return nil
}

// advance shows a view if it is newer than any before. The lock is held.
func (l *Ledger) advance(now *view) {
	if !now.formed() || l.newest != nil && l.newest.formed() && now.index() < l.newest.index() {
		return
	}
	was := l.newest
	l.newest = now
	l.feed.offer(now.record)
	if was == nil || was.meta.ID != now.meta.ID || was.changed() != now.changed() {
		nudge(l.moved)
	}
	if l.worthKeeping(now) {
		nudge(l.stir)
	}
}

// distrust stops everything until an operator confirms the ledger. The lock is held.
func (l *Ledger) distrust(why string) {
	if l.wentBack == "" {
		l.since = time.Now()
		l.log.Error("the ledger is not the one it was; this node proposes and shows nothing until an operator confirms it", "why", why)
	}
	l.wentBack = why
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// remember keeps the node's memory as the ledger changes.
func (l *Ledger) remember(ctx context.Context) {
	for {
		select {
		case <-l.stir:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		early := l.early()
		l.mu.Unlock()
		pause(ctx, early)
		if err := l.keep(); err != nil {
			l.log.Error("what this node saw of the ledger can't be kept: after a restart it would not notice a ledger that went back", "err", err)
		}
	}
}

// worthKeeping says that the memory on disk would miss more than beats. The lock is held.
func (l *Ledger) worthKeeping(v *view) bool {
	if l.kept == nil || l.kept.meta.ID != v.meta.ID || len(l.kept.record.Nodes) != len(v.record.Nodes) {
		return true
	}
	for name, g := range v.record.Groups {
		if l.kept.record.Groups[name] != g {
			return true
		}
	}
	for name, n := range v.record.Nodes {
		if was := l.kept.record.Nodes[name]; was.Boot != n.Boot || was.Fenced != n.Fenced {
			return true
		}
	}
	return false
}

// early is how long this node must still wait before it takes anything, as one that has met the
// ledger only now. Until then it keeps no memory: restarted, it must wait again. The lock is held.
func (l *Ledger) early() time.Duration {
	if l.met.IsZero() {
		return 0
	}
	return max(0, l.timing.wait-time.Since(l.met))
}

func (l *Ledger) keep() error {
	l.mu.Lock()
	v := l.newest
	skip := v == nil || v == l.kept || l.early() > 0
	l.mu.Unlock()
	if skip {
		return nil
	}
	if err := memoryOf(v, &l.opt).keep(l.opt.Dir); err != nil {
		return err
	}
	l.mu.Lock()
	l.kept = v
	l.mu.Unlock()
	return nil
}

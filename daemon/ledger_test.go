package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/daemon"
)

// ledger is arbiter.Apply behind a lock; each node reaches it through a replica of its own.
type ledger struct {
	tape *tape
	mu   sync.Mutex
	rec  arbiter.Record
	subs map[chan struct{}]*replica
}

func newLedger(t *tape) *ledger { return &ledger{tape: t, subs: map[chan struct{}]*replica{}} }

func (l *ledger) record() arbiter.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rec
}

func (l *ledger) apply(c arbiter.Command) (arbiter.Record, error) {
	l.mu.Lock()
	next, err := arbiter.Apply(l.rec, c)
	next.Index = l.rec.Index + 1
	l.rec = next
	for poke, r := range l.subs {
		if r.is(reachable) {
			select {
			case poke <- struct{}{}:
			default:
			}
		}
	}
	l.mu.Unlock()
	if _, beat := c.(arbiter.Beat); !beat {
		l.tape.add("ledger %s: %v", c.Actor(), strings.Join(strings.Fields(fmt.Sprintf("%v %v", c, err)), " "))
	}
	return next, err
}

// weather is how a replica fares.
type weather int

const (
	reachable weather = iota
	silent            // proposals are lost on the way, and nothing answers
	mute              // proposals are agreed, and the answers are lost
)

// replica is a node's way to the ledger.
type replica struct {
	ledger *ledger
	node   string
	delay  time.Duration // of an agreement
	mu     sync.Mutex
	now    weather
	reads  int
}

func (r *replica) set(w weather) {
	r.mu.Lock()
	r.now = w
	r.mu.Unlock()
	r.ledger.mu.Lock() // who comes back is pushed what it missed
	defer r.ledger.mu.Unlock()
	for poke, owner := range r.ledger.subs {
		if owner == r {
			select {
			case poke <- struct{}{}:
			default:
			}
		}
	}
}

func (r *replica) slow(delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = delay
}

func (r *replica) slowness() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay
}

func (r *replica) looks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

func (r *replica) is(w weather) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now == w
}

func (r *replica) Propose(ctx context.Context, c arbiter.Command) (arbiter.Record, error) {
	lost := func() (arbiter.Record, error) {
		<-ctx.Done()
		return arbiter.Record{}, context.Cause(ctx)
	}
	if r.is(silent) {
		return lost()
	}
	select {
	case <-time.After(r.slowness()):
	case <-ctx.Done():
		return lost()
	}
	rec, err := r.ledger.apply(c)
	if !r.is(reachable) {
		return lost()
	}
	return rec, err
}

func (r *replica) Read(ctx context.Context) (arbiter.Record, error) {
	r.mu.Lock()
	r.reads++
	r.mu.Unlock()
	if !r.is(reachable) {
		<-ctx.Done()
		return arbiter.Record{}, context.Cause(ctx)
	}
	return r.ledger.record(), nil
}

func (r *replica) Watch(ctx context.Context) <-chan arbiter.Record {
	out, poke := make(chan arbiter.Record), make(chan struct{}, 1)
	poke <- struct{}{}
	r.ledger.mu.Lock()
	r.ledger.subs[poke] = r
	r.ledger.mu.Unlock()
	go func() {
		defer close(out)
		for {
			select {
			case <-poke:
			case <-ctx.Done():
				return
			}
			if !r.is(reachable) {
				continue
			}
			select {
			case out <- r.ledger.record():
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (r *replica) Status() daemon.LedgerStatus {
	if !r.is(reachable) {
		return daemon.LedgerStatus{Problem: "no leader is known"}
	}
	return daemon.LedgerStatus{Leader: "arb", Quorum: true}
}

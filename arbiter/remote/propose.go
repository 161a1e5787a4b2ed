package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// Propose has a command agreed. A nil error means that it was applied, and the record is the ledger
// as of then. A *arbiter.Refusal means that it was agreed to refuse it, and the record is the ledger
// as of then. With any other error but ErrNotProposed and ErrNotYou the outcome is unknown.
//
// It tries until ctx is done, so give it a deadline. After a lost answer only a beat or a
// registration is sent again, which twice are as good as once; a grant counts from before Propose
// was called either way.
func (l *Ledger) Propose(ctx context.Context, cmd arbiter.Command) (arbiter.Record, error) {
	if cmd.Actor() != l.o.Node {
		return arbiter.Record{}, fmt.Errorf("%v: proposed by %s: %w", cmd, l.o.Node, ErrNotYou)
	}
	a, err := l.repeat(ctx, repeatable(cmd), wire.AskPropose, wire.Proposal{Command: arbiter.Encode(cmd)})
	if err != nil {
		return arbiter.Record{}, fmt.Errorf("%v: %w", cmd, err)
	}
	if a.Refusal != nil {
		return a.Record, a.Refusal
	}
	return a.Record, nil
}

// Read returns the ledger as it is at some instant between call and return.
func (l *Ledger) Read(ctx context.Context) (arbiter.Record, error) {
	a, err := l.repeat(ctx, true, wire.AskRead, nil)
	if err != nil {
		return arbiter.Record{}, fmt.Errorf("read the ledger: %w", err)
	}
	return a.Record, nil
}

// repeatable says that a command twice in the log is as good as once.
func repeatable(cmd arbiter.Command) bool {
	switch cmd.(type) {
	case arbiter.Beat, arbiter.Register:
		return true
	}
	return false
}

// repeat asks until there's an answer, again when nothing was proposed, and, where that does no
// harm, when the outcome is unknown.
func (l *Ledger) repeat(ctx context.Context, harmless bool, what string, body any) (wire.Agreed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	var unknown error // the last outcome that isn't known
	last := errors.New("no arbiter is known to lead")
	for tries := 0; ctx.Err() == nil; tries++ {
		to, reign := l.route()
		if to == nil {
			pause(ctx, reign.Done(), firstHeartbeat)
			continue
		}
		a, err := attempt(ctx, to, reign, harmless, what, body)
		if err == nil {
			l.settled(a.Record)
			return a, nil
		}
		last = err
		switch w, answered := errors.AsType[*wire.Error](err); {
		case answered && w.Code == wire.Denied:
			return wire.Agreed{}, fmt.Errorf("%w: %w", ErrNotProposed, err)
		case answered && w.Code == wire.Nothing || errors.Is(err, wire.ErrUnsent):
		case harmless:
			unknown = err
		default:
			l.doubted(true)
			return wire.Agreed{}, fmt.Errorf("outcome unknown: %w", err)
		}
		pause(ctx, reign.Done(), to.beat()/20<<min(tries, 3))
	}
	l.doubted(true)
	if unknown != nil {
		return wire.Agreed{}, fmt.Errorf("outcome unknown: %w", unknown)
	}
	return wire.Agreed{}, fmt.Errorf("%w: %w", ErrNotProposed, last)
}

// attempt is one try at one arbiter. When another is to be asked from now on, because this one fell
// silent, a request whose lost answer does no harm is given up, though not in its first moments: an
// arbiter that only paused may answer yet. Any other, and any at an arbiter that is well but leads no
// more, has a heartbeat left to be answered.
func attempt(ctx context.Context, to *post, reign context.Context, harmless bool, what string, body any) (wire.Agreed, error) {
	beat, begun := to.beat(), time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if harmless {
		ctx, cancel = context.WithTimeout(ctx, max(2*beat, firstHeartbeat))
		defer cancel()
	}
	defer context.AfterFunc(reign, func() {
		if harmless && !to.view().lit {
			time.AfterFunc(max(0, beat/2-time.Since(begun)), cancel)
			return
		}
		time.AfterFunc(beat, cancel)
	})()
	var a wire.Agreed
	err := to.link.Call(ctx, what, body, &a)
	return a, err
}

func (l *Ledger) settled(r arbiter.Record) {
	l.feed.Confirmed(r)
	l.doubted(false)
}

func (l *Ledger) doubted(doubt bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = doubt
}

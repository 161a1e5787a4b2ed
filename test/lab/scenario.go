//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/api"
)

// Fault is something that happens to the holder of the VIP, and how it is mended.
type Fault struct {
	Name    string
	Inflict func(ctx context.Context, l *Lab, holder string) error
	Mend    func(ctx context.Context, l *Lab, holder string) error
	// Planned says that the holder is there to hand over.
	Planned bool
	// Stays says that nothing is wrong with the holder, so the VIP must not move.
	Stays bool
}

// Faults that tell managers of VIPs apart, in the order in which a story is told.
var (
	Crash = Fault{Name: "machine powered off",
		Inflict: func(_ context.Context, l *Lab, holder string) error { return l.PowerOff(holder) }, Mend: restart}
	Killed = Fault{Name: "daemon killed (-9)",
		Inflict: func(_ context.Context, l *Lab, holder string) error { return l.Kill(holder) }, Mend: restart}
	Frozen = Fault{Name: "daemon frozen (SIGSTOP)",
		Inflict: func(_ context.Context, l *Lab, holder string) error { return l.Freeze(holder) }, Mend: thaw}
	Firewalled = Fault{Name: "VRRP firewalled", Stays: true,
		Inflict: func(_ context.Context, l *Lab, _ string) error { return l.Cut(NoVRRP()...) },
		Mend:    func(_ context.Context, l *Lab, _ string) error { return l.Heal() }}
	Stopped = Fault{Name: "daemon stopped (SIGTERM)", Planned: true,
		Inflict: func(ctx context.Context, l *Lab, holder string) error { return l.Stop(ctx, holder) }, Mend: restart}
	SwitchedOver = Fault{Name: "planned switchover", Planned: true,
		Inflict: func(ctx context.Context, l *Lab, holder string) error { return l.Switchover(ctx, Other(holder)) },
		Mend:    func(context.Context, *Lab, string) error { return nil }}
)

// restart brings a machine back that is off, or whose daemon is gone.
func restart(_ context.Context, l *Lab, holder string) error {
	if !l.Powered(holder) {
		return l.PowerOn(holder)
	}
	return l.Start(holder)
}

// thaw finds the machine as the others left it: they may have cut its power meanwhile.
func thaw(_ context.Context, l *Lab, holder string) error {
	if !l.Powered(holder) {
		return l.PowerOn(holder)
	}
	return l.Thaw(holder)
}

// Result is what the judge saw of a fault.
type Result struct {
	Fault  Fault
	Holder string // before
	Heir   string // who answered at the end; empty: nobody
	Report
}

// watchAfter is how long the judge looks on after the VIP has answered from its new place: a former
// holder that comes back does so later.
const watchAfter = time.Second

// Play inflicts a fault on the holder, watches at least a while, and as long as the VIP needs to
// answer again, and reports. The fault stays; [Lab.Mend] ends it.
func (l *Lab) Play(ctx context.Context, o *Observer, f Fault, atLeast time.Duration) (Result, error) {
	r := Result{Fault: f}
	holder, err := o.soleHolder(ctx)
	if err != nil {
		return r, fmt.Errorf("%s: %w", f.Name, err)
	}
	r.Holder = holder
	from := wall()
	if err := f.Inflict(ctx, l, holder); err != nil {
		return r, fmt.Errorf("%s: %w", f.Name, err)
	}
	if !f.Stays {
		if _, err := o.AwaitHolder(ctx, Other(holder)); err != nil {
			r.Report = o.Report(from, wall())
			return r, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	// watchAfter for what moves, atLeast for all.
	until := later(wall().Add(watchAfter), from.Add(atLeast))
	if err := o.watchUntil(ctx, until); err != nil {
		return r, fmt.Errorf("%s: %w", f.Name, err)
	}
	r.Report = o.Report(from, wall())
	if now := o.Holders(); len(now) > 0 {
		r.Heir = now[0]
		if slices.Contains(now, Other(holder)) && !f.Stays {
			r.Heir = Other(holder)
		}
	}
	return r, nil
}

// soleHolder waits until exactly one machine answers: a fault is inflicted on a healthy cluster.
func (o *Observer) soleHolder(ctx context.Context) (string, error) {
	var holder string
	err := o.Await(ctx, func(holders []string) bool {
		if len(holders) == 1 {
			holder = holders[0]
		}
		return len(holders) == 1
	})
	return holder, err
}

// watchUntil lets time pass, on real machines.
func (o *Observer) watchUntil(ctx context.Context, until time.Time) error {
	return o.Await(ctx, func([]string) bool { return wall().After(until) })
}

// Watch looks on for a while.
func (o *Observer) Watch(ctx context.Context, d time.Duration) error {
	return o.watchUntil(ctx, wall().Add(d))
}

// Mend ends a fault and waits until the cluster is whole: every machine on, one holder, and, where
// there is a ledger, both members in it.
func (l *Lab) Mend(ctx context.Context, o *Observer, r Result) error {
	if err := r.Fault.Mend(ctx, l, r.Holder); err != nil {
		return fmt.Errorf("mend %s: %w", r.Fault.Name, err)
	}
	if l.Program == Keepalived {
		// The machine with the higher priority takes the VIP back.
		return o.Await(ctx, func(holders []string) bool { return slices.Equal(holders, []string{Nodes[0].Name}) })
	}
	if err := l.AwaitWhole(ctx); err != nil {
		return err
	}
	_, err := o.soleHolder(ctx)
	return err
}

// AwaitWhole waits until every daemon says that there is a quorum, a holder and no suspect, and that
// all nodes beat.
func (l *Lab) AwaitWhole(ctx context.Context) error {
	for _, n := range Nodes {
		if !l.Powered(n.Name) {
			return errors.New("machine " + n.Name + " is off")
		}
		if _, err := l.AwaitStatus(ctx, n.Name, l.whole); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) whole(s api.Status) bool {
	if !s.Quorum && l.Protection != "vrrp" {
		return false
	}
	for _, n := range s.Nodes {
		if n.Fenced || n.BeatAgeMS < 0 || n.BeatAgeMS > l.TTL.Milliseconds() {
			return false
		}
	}
	return GroupOf(s).Held() && len(s.Nodes) == len(Nodes)
}

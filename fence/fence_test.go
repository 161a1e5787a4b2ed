package fence_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/solevip/solevip/fence"
)

// probe is a device that takes a while to answer, and counts who is inside.
type probe struct {
	takes       time.Duration
	off         atomic.Bool
	inside, max atomic.Int32
	cancelled   atomic.Int32
}

func (*probe) Name() string { return "probe" }

func (p *probe) busy(ctx context.Context) error {
	p.max.Store(max(p.max.Load(), p.inside.Add(1)))
	defer p.inside.Add(-1)
	select {
	case <-time.After(p.takes):
		return nil
	case <-ctx.Done():
		p.cancelled.Add(1)
		return context.Cause(ctx)
	}
}

func (p *probe) Status(ctx context.Context, _ fence.Shot) (fence.PowerState, error) {
	if err := p.busy(ctx); err != nil {
		return fence.PowerUnknown, err
	}
	if p.off.Load() {
		return fence.PowerOff, nil
	}
	return fence.PowerOn, nil
}

func (p *probe) Off(ctx context.Context, _ fence.Shot) error {
	err := p.busy(ctx)
	if err == nil {
		p.off.Store(true)
	}
	return err
}

func plan(t *testing.T, b fence.Budgets, levels ...fence.Level) *fence.Plan {
	t.Helper()
	p, err := fence.NewPlan(levels, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var quiet = slog.New(slog.DiscardHandler)

func allow() error { return nil }

func TestDeviceDoesOneThingAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &probe{takes: 100 * time.Millisecond}
		// The same device on two levels is one device.
		p := plan(t, fence.Budgets{}, fence.Level{d}, fence.Level{d})
		results := make(chan fence.Result)
		for range 3 {
			go func() { results <- fence.Run(t.Context(), p, fence.Shot{}, allow, quiet) }()
		}
		for range 3 {
			if r := <-results; r.Outcome != fence.Off {
				t.Errorf("got %v: %v", r.Outcome, r.Err)
			}
		}
		if n := d.max.Load(); n != 1 {
			t.Errorf("%d calls at once", n)
		}
	})
}

func TestFenceDoesNotWaitForACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &probe{takes: 4 * time.Second}
		p := plan(t, fence.Budgets{}, fence.Level{slow})
		checked := make(chan []fence.Health)
		go func() { checked <- fence.Check(t.Context(), p, fence.Shot{}) }()
		time.Sleep(time.Second) // virtual
		began := time.Now()
		done := make(chan fence.Result)
		go func() { done <- fence.Run(t.Context(), p, fence.Shot{}, allow, quiet) }()
		h := <-checked
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the check ended %v after the fence began", waited)
		}
		if len(h) != 1 || h[0].Ready() || !errors.Is(h[0].Err, fence.ErrBusy) {
			t.Errorf("got %+v, want ErrBusy", h)
		}
		if h := fence.Check(t.Context(), p, fence.Shot{}); !errors.Is(h[0].Err, fence.ErrBusy) {
			t.Errorf("a check during the fence: %+v", h)
		}
		if r := <-done; r.Outcome != fence.Off {
			t.Errorf("got %v: %v", r.Outcome, r.Err)
		}
		if h := fence.Check(t.Context(), p, fence.Shot{}); !h[0].Ready() || h[0].Power != fence.PowerOff || h[0].Took != slow.takes {
			t.Errorf("a check after the fence: %+v", h)
		}
	})
}

func TestCheckReadsAllAndShootsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scenario{began: time.Now()}
		on, silent := newDevice(t, s, "bmc", "on"), newDevice(t, s, "strip", "silent")
		ack, garbled := newDevice(t, s, "cloud", "ack").asDevice(), newDevice(t, s, "hook", "garbled")
		p := plan(t, fence.Budgets{}, fence.Level{on, silent}, fence.Level{ack, garbled})
		got := fence.Check(t.Context(), p, fence.Shot{Target: "db1"})
		ready := map[string]bool{"bmc": true, "strip": false, "cloud": true, "hook": false}
		if len(got) != 4 || got[2].Level != 2 || !got[2].Untestable {
			t.Errorf("got %+v", got)
		}
		for _, h := range got {
			if h.Ready() != ready[h.Device] {
				t.Errorf("%s ready is %v (%+v)", h.Device, h.Ready(), h)
			}
		}
		if trace := s.trace.String(); strings.Contains(trace, "OFF") {
			t.Errorf("shot:\n%s", trace)
		}
	})
}

func TestPlanThatCannotWork(t *testing.T) {
	d := &probe{}
	for name, row := range map[string]struct {
		levels  []fence.Level
		budgets fence.Budgets
	}{
		"no level":                    {nil, fence.Budgets{}},
		"level without a device":      {[]fence.Level{{d}, {}}, fence.Budgets{}},
		"negative budget":             {[]fence.Level{{d}}, fence.Budgets{Call: -1}},
		"proof longer than the whole": {[]fence.Level{{d}}, fence.Budgets{Device: 2 * time.Minute}},
		"pause longer than the proof": {[]fence.Level{{d}}, fence.Budgets{Confirm: time.Minute}},
	} {
		if _, err := fence.NewPlan(row.levels, row.budgets); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestZeroValuesAreUnknown(t *testing.T) {
	var r fence.Result
	var p fence.PowerState
	if r.Outcome.String() != "unknown" || p.String() != "unknown" {
		t.Errorf("got %v and %v", r.Outcome, p)
	}
}

func TestShotWithoutAGuardIsAllowed(t *testing.T) {
	if err := (fence.Shot{}).Allowed(); err != nil {
		t.Error(err)
	}
}

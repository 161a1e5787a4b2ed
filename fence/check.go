package fence

import (
	"context"
	"time"
)

// Health is whether one device could be used now, by reading it.
type Health struct {
	Level  int
	Device string
	Power  PowerState
	// Identity is whose power it says it cuts; "" when it doesn't know.
	Identity string
	// Untestable is a device with trust_ack: only a shot would show whether it works.
	Untestable bool
	Err        error // why it couldn't be read
	Took       time.Duration
}

// Ready reports whether nothing is known to be wrong with the device.
func (h Health) Ready() bool { return h.Err == nil && (h.Untestable || h.Power != PowerUnknown) }

// Check reads every device of the plan, compares its identity where one is recorded, and shoots nothing. A fence that begins meanwhile takes
// the devices: what wasn't read by then has [ErrBusy], which says nothing about their health.
func Check(ctx context.Context, p *Plan, s Shot) []Health {
	ctx, done := p.beginCheck(ctx)
	defer done()
	var all []Health
	for _, l := range p.levels {
		for _, d := range l.devices {
			h := Health{Level: l.number, Device: d.Name()}
			if trustsAck(d.Device) {
				h.Untestable = true
			} else {
				began := time.Now()
				if h.Identity, h.Err = p.identity(ctx, d, s); h.Err == nil {
					h.Power, h.Err = p.status(ctx, d, s)
				}
				h.Took = time.Since(began)
			}
			all = append(all, h)
		}
	}
	return all
}

// beginCheck returns a context that ends when a fence begins.
func (p *Plan) beginCheck(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fences > 0 {
		cancel(ErrBusy)
	}
	id := p.nextID
	p.nextID++
	p.checks[id] = cancel
	return ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.checks, id)
		cancel(nil)
	}
}

// beginFence ends the checks that run.
func (p *Plan) beginFence() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fences++
	for _, cancel := range p.checks {
		cancel(ErrBusy)
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fences--
	}
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/vrrp"
)

// loop is the one goroutine that owns the machines. What it was told comes first, then the newest
// record, then what time alone brings.
func (d *Daemon) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop := ctx.Done()
	for {
		select {
		case f := <-d.inbox:
			f(d.o.Clock())
			d.drain()
		case <-timer.C:
		case <-stop:
			stop = nil
			d.stop(d.o.Clock(), context.Cause(ctx).Error())
		}
		now := d.o.Clock()
		d.deliver(now)
		d.tick(now)
		if d.stopping && (d.idle() || now >= d.stopBy) {
			return
		}
		timer.Reset(d.untilNext(now))
	}
}

// drainAtOnce bounds how many messages are taken before time is looked at again.
const drainAtOnce = 256

func (d *Daemon) drain() {
	for range drainAtOnce {
		select {
		case f := <-d.inbox:
			f(d.o.Clock())
		default:
			return
		}
	}
}

// learn notes a record; deliver hands the newest one on.
func (d *Daemon) learn(r arbiter.Record) {
	if !d.known || r.Index > d.record.Index {
		d.record, d.known, d.undelivered = r, true, true
	}
}

func (d *Daemon) deliver(now time.Duration) {
	if !d.undelivered || d.session == nil {
		return
	}
	d.undelivered = false
	d.noteMaintenance(now)
	for name, n := range d.record.Nodes {
		p, known := d.pulses[name]
		if !known || p.node.Boot != n.Boot || p.node.Beat != n.Beat {
			p.at = now
		}
		p.node = n
		d.pulses[name] = p
	}
	d.stepSession(now, claim.Seen{Record: d.record})
	for _, g := range d.groups {
		d.step(now, g, claim.Seen{Record: d.record})
	}
	d.changed()
}

// tick wakes every machine whose time has come.
func (d *Daemon) tick(now time.Duration) {
	if d.session != nil {
		if at, ok := d.session.Wake(); ok && now >= at || !d.session.Registered() {
			d.stepSession(now, claim.Ticked{})
		}
	}
	if now >= d.lookedAt+lookPause {
		d.lookAround(now)
	}
	for _, g := range d.groups {
		if now >= g.wake {
			d.step(now, g, claim.Ticked{})
		}
		for _, r := range g.routers {
			if now >= r.wake {
				d.route(now, r, vrrp.Ticked{})
			}
		}
		if now >= g.announceAt {
			d.announceAgain(now, g)
		}
	}
}

// lookPause is how often the loop looks at what changes without telling it.
const lookPause = time.Second

// lookAround notices that the ledger was lost or came back, and that alarms have ended.
func (d *Daemon) lookAround(now time.Duration) {
	d.lookedAt = now
	d.endMaintenance(now)
	if d.o.Ledger != nil {
		was := d.health
		d.health = d.o.Ledger.Status()
		switch is := d.health; {
		case was.Quorum && !is.Quorum:
			d.log.Warn("no quorum: nothing is claimed, and what is held ends at its deadline", "problem", is.Problem)
		case is.Quorum && (!was.Quorum || was.Leader != is.Leader):
			d.log.Info("quorum", "leader", is.Leader)
		}
	}
	d.changed()
}

// never is a wake-up that does not come.
const never = time.Duration(1<<63 - 1)

// untilNext is how long the loop may sleep.
func (d *Daemon) untilNext(now time.Duration) time.Duration {
	next := now + lookPause
	if d.stopping {
		next = min(next, d.stopBy)
	}
	if d.session != nil {
		if at, ok := d.session.Wake(); ok {
			next = min(next, at)
		}
	}
	for _, g := range d.groups {
		next = min(next, g.wake, g.announceAt)
		for _, r := range g.routers {
			next = min(next, r.wake)
		}
	}
	return max(next-now, 0)
}

// stepSession lets the session decide and proposes what it says.
func (d *Daemon) stepSession(now time.Duration, e claim.Event) {
	for _, a := range d.session.Step(now, e) {
		d.propose(a.(claim.Propose).Command, func(now time.Duration, p claim.Proposed) {
			if p.Err != nil {
				d.log.Debug("not agreed", "command", p.Command, "error", p.Err)
			} else {
				d.renewed(now, p)
			}
			d.stepSession(now, p)
		})
	}
	if end := d.session.End(); end != d.ended {
		d.ended = end
		d.log.Error("this node may do nothing more", "reason", end)
		for _, g := range d.groups {
			if g.protected() {
				d.step(now, g, claim.Wanted{Why: end})
			}
		}
	}
}

// renewed hands a committed beat or registration to every machine.
func (d *Daemon) renewed(now time.Duration, p claim.Proposed) {
	if r, ok := p.Command.(arbiter.Register); ok {
		d.log.Info("registered", "boot", r.Boot.String())
	}
	for _, g := range d.groups {
		if g.protected() {
			d.step(now, g, claim.Renewed{Sent: p.Sent, Record: p.Record})
		}
	}
}

// propose asks the ledger beside the loop. The clock is read before the command is sent: a grant
// counts from there.
func (d *Daemon) propose(c arbiter.Command, done func(time.Duration, claim.Proposed)) {
	d.task(func(ctx context.Context) {
		ctx, cancel := context.WithTimeoutCause(ctx, claim.Beat(d.o.TTL), fmt.Errorf("the ledger did not answer within %v", claim.Beat(d.o.TTL)))
		defer cancel()
		sent := d.o.Clock()
		r, err := d.o.Ledger.Propose(ctx, stamp(c))
		d.post(func(now time.Duration) {
			if r.Index > 0 { // an answer came
				d.learn(r)
			}
			done(now, claim.Proposed{Command: c, Sent: sent, Record: r, Err: err})
		})
	})
}

// stamp adds the wall clock to commands that tell people when they were made. Nothing compares it.
func stamp(c arbiter.Command) arbiter.Command {
	at := time.Now().UnixMilli()
	switch c := c.(type) {
	case arbiter.Intent:
		c.At = at
		return c
	case arbiter.Clear:
		c.At = at
		return c
	case arbiter.Report:
		c.At = at
		return c
	case arbiter.Attest:
		c.At = at
		return c
	case arbiter.Identify:
		c.At = at
		return c
	case arbiter.Order:
		c.At = at
		return c
	case arbiter.Maintain:
		c.At = at
		return c
	case arbiter.Unfence:
		c.At = at
		return c
	}
	return c
}

// look reads the ledger afresh, because VRRP hints that something changed.
func (d *Daemon) look() {
	if d.looking || d.o.Ledger == nil {
		return
	}
	d.looking = true
	d.task(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, claim.Beat(d.o.TTL))
		defer cancel()
		r, err := d.o.Ledger.Read(ctx)
		d.post(func(time.Duration) {
			d.looking = false
			if err == nil {
				d.learn(r)
			}
		})
	})
}

// start begins every machine.
func (d *Daemon) start(now time.Duration) {
	for _, g := range d.groups {
		for _, r := range g.routers {
			d.route(now, r, vrrp.Started{})
		}
		if g.in != nil {
			d.log.Info("keeps what an earlier process of this boot had up", "group", g.o.Name, "epoch", g.in.Epoch)
			d.active(now, g)
			d.wantAsBefore(now, g)
		}
		if len(g.checks) > 0 {
			d.assess(now, g)
		}
		d.step(now, g, claim.Ticked{})
	}
}

// stop begins the clean end: every group is handed over.
func (d *Daemon) stop(now time.Duration, why string) {
	if d.stopping {
		return
	}
	d.stopping = true
	d.stopBy = now + d.o.TTL
	d.log.Info("stopping", "reason", why)
	for _, g := range d.groups {
		d.stopBy = max(d.stopBy, now+d.o.TTL+g.o.Demote.Timeout)
		for _, r := range g.routers {
			d.route(now, r, vrrp.Stopped{})
		}
		d.step(now, g, claim.Wanted{Why: "the daemon on " + d.o.Node + " is stopping"})
	}
}

// idle reports whether nothing is left to hand over.
func (d *Daemon) idle() bool {
	return !slices.ContainsFunc(d.groups, func(g *group) bool { return g.o.Member && !g.machine.Idle() })
}

// finish takes down what could not be handed over in time, and says so. The kernel's worker has
// ended by then, so that nothing comes up again.
func (d *Daemon) finish() error {
	d.end()
	var errs []error
	for _, g := range d.groups {
		if !g.o.Member || g.machine.Idle() {
			continue
		}
		d.log.Warn("ended before the group was handed over", "group", g.o.Name, "reason", g.machine.View().Reason)
		<-d.kernel.ended
		if err := d.o.Kernel.Unbind(g.o.Name); err != nil {
			errs = append(errs, fmt.Errorf("unbind of %s at the end: %w", g.o.Name, err))
		}
	}
	d.log.Info("stopped")
	return errors.Join(errs...)
}

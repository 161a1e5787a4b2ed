package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/hook"
)

// fence shoots a suspect beside the loop. The right to shoot is asked of the machine, in the loop,
// right before each irreversible command.
func (d *Daemon) fence(g *group, a claim.Fence) {
	plan := d.o.Fencing[a.Suspect.Node]
	shot := fence.Shot{
		Target: a.Suspect.Node, Boot: a.Suspect.String(), Node: d.o.Node, Epoch: a.Epoch, Group: a.Group,
	}.WithIdentities(d.record.Identities(a.Suspect.Node))
	ctx, stop := context.WithCancelCause(d.life)
	g.stopFence = stop
	guard := func() error {
		may, err := ask(ctx, d, func(now time.Duration) bool { return g.machine.MayFence(now) })
		switch {
		case err != nil:
			return err
		case !may:
			return fmt.Errorf("epoch %d of %s is not ours any more, or its lease ran out", a.Epoch, a.Group)
		}
		return nil
	}
	d.task(func(context.Context) {
		defer stop(nil)
		done := claim.Fenced{Suspect: a.Suspect, Outcome: fence.Unknown.String(), Detail: "no fence device is configured for " + a.Suspect.Node}
		if plan != nil {
			r := fence.Run(ctx, plan, shot, guard, d.o.Log.With("component", "fence"))
			done.Off, done.Outcome = r.Outcome == fence.Off, r.Outcome.String()
			done.Method, done.Detail = r.Method, r.Detail
		}
		d.post(func(now time.Duration) { d.step(now, g, done) })
	})
}

// promote runs the promote hook. It never outlives the permit: the machine cancels it.
func (d *Daemon) promote(now time.Duration, g *group, a claim.Promote) {
	facts := d.facts(g, a.Permit.Epoch(), a.Permit.Until()-now)
	ctx, stop := context.WithCancelCause(d.life)
	g.stopHook = stop
	d.task(func(context.Context) {
		defer stop(nil)
		err := d.runHook(ctx, g.o.Promote, "promote", facts)
		d.post(func(now time.Duration) { d.step(now, g, claim.Promoted{Err: err}) })
	})
}

// demote runs the demote hook. A planned one has the addresses still up and must be done within
// the lease; the hook's time-out is checked against it when the file is read.
func (d *Daemon) demote(now time.Duration, g *group, a claim.Demote) {
	left := time.Duration(0)
	if a.Planned {
		left = g.machine.View().Deadline - d.o.Margin - now
	}
	facts := d.facts(g, a.Epoch, left)
	d.task(func(ctx context.Context) {
		err := d.runHook(ctx, g.o.Demote, "demote", facts)
		d.post(func(now time.Duration) { d.step(now, g, claim.Demoted{Err: err}) })
	})
}

// afterwards runs the post hook; nothing waits for it but the end of the daemon.
func (d *Daemon) afterwards(now time.Duration, g *group, p claim.Permit) {
	if g.o.Post.Path == "" {
		return
	}
	facts := d.facts(g, p.Epoch(), p.Until()-now)
	d.task(func(ctx context.Context) {
		if err := d.runHook(ctx, g.o.Post, "post", facts); err != nil {
			d.log.Warn("post hook failed", "group", g.o.Name, "error", err)
		}
	})
}

// runHook runs a hook, if there is one, and logs how long it took.
func (d *Daemon) runHook(ctx context.Context, h hook.Hook, stage string, f hook.Facts) error {
	if h.Path == "" {
		return nil
	}
	began := time.Now()
	err := d.o.Hook(ctx, h, stage, f)
	log := d.log.With("group", f.Group, "epoch", f.Epoch, "stage", stage, "took", time.Since(began).Round(time.Millisecond))
	if err != nil {
		log.Error("hook failed", "error", err)
		return err
	}
	log.Info("hook done")
	return nil
}

// facts are what a hook is told.
func (d *Daemon) facts(g *group, epoch uint64, left time.Duration) hook.Facts {
	v := g.machine.View()
	return hook.Facts{
		Group: g.o.Name, Node: d.o.Node, Epoch: epoch, Previous: v.Group.Previous, Evidence: string(v.Group.Evidence),
		Addresses: g.o.Addresses, DeadlineMS: max(left, 0).Milliseconds(),
	}
}

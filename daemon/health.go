package daemon

import (
	"context"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/health"
	"github.com/solevip/solevip/vrrp"
)

// Check is a health check of a group, as package health runs it.
type Check interface {
	Options() health.Options
	// Run tells how the check stands whenever that changed, until ctx ends.
	Run(ctx context.Context, tell func(health.Standing))
}

// addChecks gives a group its checks, none of which has answered.
func (g *group) addChecks() {
	for _, c := range g.o.Checks {
		o := c.Options()
		g.checks = append(g.checks, health.Standing{Name: o.Name, Weight: o.Weight, Count: 1})
	}
}

// watchHealth runs the checks of the groups that this node may hold.
func (d *Daemon) watchHealth() {
	for _, g := range d.groups {
		if !g.o.Member {
			continue
		}
		for i, c := range g.o.Checks {
			d.task(func(ctx context.Context) {
				c.Run(ctx, func(s health.Standing) { d.post(func(now time.Duration) { d.checked(now, g, i, s) }) })
			})
		}
	}
}

// checked takes what a check found.
func (d *Daemon) checked(now time.Duration, g *group, i int, s health.Standing) {
	if was := g.checks[i]; was.State != s.State {
		log := d.log.Info
		if s.State == health.Bad {
			log = d.log.Warn
		}
		log("check", "group", g.o.Name, "check", s.Name, "state", s.State.String(), "reason", s.Why)
	}
	g.checks[i] = s
	d.assess(now, g)
	d.changed()
}

// assess draws the conclusions of a group's checks: a fault hands the group over, and a weight changes the priority
// that the virtual routers say.
func (d *Daemon) assess(now time.Duration, g *group) {
	t := health.Sum(g.checks)
	for i, r := range g.routers {
		base := g.o.Instances[i].Router.Priority
		if p := health.Priority(base, t.Delta); base != vrrp.PriorityOwner && p != r.fsm.Priority() {
			d.log.Info("priority", "group", g.o.Name, "vrid", r.fsm.Advert(0).VRID, "was", r.fsm.Priority(), "is", p)
			d.route(now, r, vrrp.Reprioritised{Priority: p})
		}
	}
	unfit := t.Fault
	if unfit == "" && g.in == nil && !g.fit {
		unfit = t.Wait // what begins must know first; what was up already goes on
	}
	switch {
	case d.stopping:
	case unfit != "" && g.unfit != unfit:
		g.unfit = unfit
		d.unfit(now, g)
	case unfit == "":
		g.fit = true
		if g.unfit != "" {
			g.unfit = ""
			d.fit(now, g)
		}
	}
}

// unfit takes the group away from this node: in order, as a stop does.
func (d *Daemon) unfit(now time.Duration, g *group) {
	for _, r := range g.routers {
		d.route(now, r, vrrp.Stopped{})
	}
	d.step(now, g, claim.Wanted{Why: g.unfit})
}

// fit lets this node have the group again.
func (d *Daemon) fit(now time.Duration, g *group) {
	d.log.Info("fit again", "group", g.o.Name)
	if g.o.Protection != arbiter.ProtectVRRP {
		if d.ended == "" {
			d.step(now, g, claim.Wanted{Up: true})
		}
	} else {
		d.step(now, g, claim.Wanted{Why: "the checks are good again; listening for an active router"})
	}
	for _, r := range g.routers {
		if !r.deaf {
			d.route(now, r, vrrp.Started{})
		}
	}
}

// checkStatus are the group's checks, for the status.
func (g *group) checkStatus() []api.Check {
	var out []api.Check
	for _, s := range g.checks {
		c := api.Check{Name: s.Name, State: s.State.String(), Weight: s.Weight, Reason: s.Why}
		out = append(out, c)
	}
	return out
}

package daemon

import (
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/vrrp"
)

// heard gives an advert to its virtual router.
func (d *Daemon) heard(now time.Duration, r *router, h vrrp.Heard) {
	if h.Advert.Priority == vrrp.PriorityReleased {
		r.group.active = ""
	} else {
		r.group.active = d.nameOf(h)
	}
	d.route(now, r, h)
}

// nameOf is the node that an advert comes from, or its address when it is no node of ours.
func (d *Daemon) nameOf(h vrrp.Heard) string {
	for _, n := range d.o.Nodes {
		if n.Address.IsValid() && n.Address == h.From || slices.Contains(n.Adverts, h.From) {
			return n.Name
		}
	}
	return h.From.String()
}

// route lets a virtual router's machine decide, and performs what it says.
func (d *Daemon) route(now time.Duration, r *router, e vrrp.Event) {
	actions := r.fsm.Step(now, e)
	r.wake = never
	if at, ok := r.fsm.Wake(); ok {
		r.wake = at
	}
	g := r.group
	for _, a := range actions {
		switch a := a.(type) {
		case vrrp.Send:
			if err := r.link.Send(r.fsm.Advert(a.Priority)); err != nil {
				d.log.Warn("advert not sent", "group", g.o.Name, "error", err)
			}
		case vrrp.Want:
			d.wanted(now, r, true, a.Why)
		case vrrp.Unwant:
			d.wanted(now, r, false, a.Why)
		case vrrp.Alarm:
			d.alarm(fmt.Sprintf("group %s: %s", g.o.Name, a.Text))
		default:
			panic(fmt.Sprintf("daemon: unknown VRRP action %T", a))
		}
	}
}

// wanted passes a virtual router's wish on. Without a ledger it decides: the group's addresses move
// together, so all of its virtual routers must want it. In a protected group a wish is a hint to
// look at the ledger, and grants nothing.
func (d *Daemon) wanted(now time.Duration, r *router, up bool, why string) {
	g := r.group
	r.wants = up
	if g.o.Protection != arbiter.ProtectVRRP {
		if up {
			d.log.Info("asks the ledger", "group", g.o.Name, "reason", why)
			d.look()
		}
		return
	}
	if up {
		g.active = ""
	}
	if i := slices.IndexFunc(g.routers, func(r *router) bool { return !r.wants }); up && i >= 0 {
		up, why = false, fmt.Sprintf("%s; but not so for virtual router %d: %s", why, g.o.Instances[i].Router.VRID, g.routers[i].fsm.Why())
	}
	d.step(now, g, claim.Wanted{Up: up && !d.stopping, Why: why})
}

// wantAsBefore stands in for the wishes on which an earlier process became active.
func (d *Daemon) wantAsBefore(now time.Duration, g *group) {
	if g.o.Protection != arbiter.ProtectVRRP {
		return
	}
	for _, r := range g.routers {
		r.wants = true
	}
	d.step(now, g, claim.Wanted{Up: true, Why: "an earlier process was active"})
}

// deaf is what becomes of the virtual routers of a link that can't be heard any more. Silence there
// means nothing, so a group that VRRP alone decides must not take it for a dead peer.
func (d *Daemon) deaf(now time.Duration, link Link, err error) {
	for _, g := range d.groups {
		for _, r := range g.routers {
			if r.link != link {
				continue
			}
			d.alarm(fmt.Sprintf("group %s: adverts for virtual router %d are not heard any more (%v); restart solevip here", g.o.Name, r.fsm.Advert(0).VRID, err))
			r.deaf = true
			if g.o.Protection == arbiter.ProtectVRRP {
				d.route(now, r, vrrp.Stopped{})
			}
		}
	}
}

// alarm tells an operator of something to look at. One that is there already is only renewed.
func (d *Daemon) alarm(text string) {
	d.log.Warn("alarm", "text", text)
	d.alarms = slices.DeleteFunc(d.alarms, func(a alarm) bool { return a.text == text })
	d.alarms = append(d.alarms, alarm{text, d.o.Clock()})
	if len(d.alarms) > maxAlarms {
		d.alarms = d.alarms[1:]
	}
	d.changed()
}

// alarm is shown in the status for a while.
type alarm struct {
	text string
	at   time.Duration
}

const (
	maxAlarms = 16
	alarmTime = 5 * time.Minute
)

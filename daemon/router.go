package daemon

import (
	"fmt"
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
		if n.Address.IsValid() && n.Address == h.From {
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
			d.wanted(now, g, true, a.Why)
		case vrrp.Unwant:
			d.wanted(now, g, false, a.Why)
		case vrrp.Alarm:
			d.alarm(fmt.Sprintf("group %s: %s", g.o.Name, a.Text))
		default:
			panic(fmt.Sprintf("daemon: unknown VRRP action %T", a))
		}
	}
}

// wanted passes a virtual router's wish on. Without a ledger it decides; in a protected group it is
// a hint to look at the ledger, and grants nothing.
func (d *Daemon) wanted(now time.Duration, g *group, up bool, why string) {
	if g.o.Protection == arbiter.ProtectVRRP {
		if up {
			g.active = ""
		}
		d.step(now, g, claim.Wanted{Up: up && !d.stopping, Why: why})
		return
	}
	if up {
		d.log.Info("asks the ledger", "group", g.o.Name, "reason", why)
		d.look()
	}
}

// alarm tells an operator of something to look at.
func (d *Daemon) alarm(text string) {
	d.log.Warn("alarm", "text", text)
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

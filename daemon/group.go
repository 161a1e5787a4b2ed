package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/health"
	"github.com/solevip/solevip/vrrp"
)

// group is one group at work on this node.
type group struct {
	o       Group
	machine *claim.Machine
	in      *claim.Inheritance
	routers []*router
	wake    time.Duration

	// A step may cause events of its own group (a virtual router's wish). They wait here until it
	// has been performed, so that actions are performed in the order in which they were decided.
	stepping bool
	events   []claim.Event

	told       claim.View // what the log and the file were last told
	decided    string     // the decision that was logged last
	refused    string     // the refusal, or lost proposal, that was logged last
	announceAt time.Duration
	second     bool // the next announcement is the second burst
	stopHook   context.CancelCauseFunc
	stopFence  context.CancelCauseFunc
	active     string // under vrrp: who was last heard to be active

	checks []health.Standing // of o.Checks
	fit    bool              // the checks have allowed it once
	unfit  string            // why this node must not hold it, as of the last assessment
}

func (g *group) protected() bool { return g.o.Protection != arbiter.ProtectVRRP && g.o.Member }

// router is one virtual router of a group.
type router struct {
	group *group
	fsm   *vrrp.Machine
	link  Link
	wake  time.Duration
	wants bool // to be active: from Want to Unwant
	deaf  bool // nothing is heard on its link any more
}

func (d *Daemon) addGroup(now time.Duration, o Group) {
	g := &group{o: o, wake: never, announceAt: never}
	if o.Member {
		g.in = d.inheritance(now, o)
	}
	g.machine = d.newMachine(g)
	if o.Member {
		g.addChecks()
		for _, in := range o.Instances {
			r := &router{group: g, fsm: vrrp.NewMachine(in.Router), link: in.Link, wake: never}
			g.routers = append(g.routers, r)
			if in.Link != nil {
				d.routers[routerKey{in.Link, in.Router.VRID}] = r
			}
		}
	}
	d.groups = append(d.groups, g)
	d.byName[o.Name] = g
}

func (d *Daemon) newMachine(g *group) *claim.Machine {
	return claim.New(claim.Config{
		Group: g.o.Name, Self: d.o.Boot, Protection: g.o.Protection, Accept: g.o.Accept, TTL: d.o.TTL, Margin: d.o.Margin,
		Outrank: outrank(g.o.Priority, d.o.Node), Inherited: g.in,
	})
}

// outrank names the members with a higher priority than self; equal ones are ordered by name.
func outrank(priority map[string]uint8, self string) []string {
	var out []string
	for name, p := range priority {
		if p > priority[self] || p == priority[self] && name < self {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// step lets a group's machine decide, and performs what it says.
func (d *Daemon) step(now time.Duration, g *group, e claim.Event) {
	if !g.o.Member {
		return
	}
	g.events = append(g.events, e)
	if g.stepping {
		return
	}
	g.stepping = true
	for len(g.events) > 0 {
		e := g.events[0]
		g.events = g.events[1:]
		for _, a := range g.machine.Step(now, e) {
			d.perform(now, g, a)
		}
	}
	g.stepping = false
	g.wake = never
	if at, ok := g.machine.Wake(); ok {
		g.wake = at
	}
	d.tell(g)
}

// tell logs what changed in a group and writes its file.
func (d *Daemon) tell(g *group) {
	v := g.machine.View()
	was := g.told
	g.told = v
	if v.Role != was.Role || v.Reason != was.Reason {
		d.log.Info(string(v.Role), "group", g.o.Name, "epoch", v.Group.Epoch, "reason", v.Reason)
	}
	if v != was {
		d.writeGroup(g, v)
	}
	if v.Role != was.Role || v.Reason != was.Reason || v.Group != was.Group || v.Up != was.Up {
		d.changed()
	}
}

// perform does what a group's machine decided.
func (d *Daemon) perform(now time.Duration, g *group, a claim.Action) {
	d.logDecision(now, g, a)
	switch a := a.(type) {
	case claim.Propose:
		d.propose(a.Command, func(now time.Duration, p claim.Proposed) {
			d.logRefusal(g, p)
			d.step(now, g, p)
		})
	case claim.Fence:
		d.fence(g, a)
	case claim.CallOff:
		g.stopFence(fmt.Errorf("epoch %d lost the right to fence", g.told.Group.Epoch))
	case claim.Promote:
		d.promote(now, g, a)
	case claim.Cancel:
		g.stopHook(fmt.Errorf("epoch %d is lost or given up", g.told.Group.Epoch))
	case claim.Demote:
		d.demote(now, g, a)
	case claim.Bind:
		d.kernel.bind(a.Permit, func(err error) {
			d.post(func(now time.Duration) { d.step(now, g, claim.Bound{Permit: a.Permit, Err: err}) })
		})
	case claim.Unbind:
		d.quiet(now, g)
		d.kernel.unbind(g.o.Name, func(err error) {
			d.post(func(now time.Duration) { d.step(now, g, claim.Unbound{Err: err}) })
		})
	case claim.Announce:
		d.announce(now, g)
		d.active(now, g)
		d.afterwards(now, g, a.Permit)
	case claim.Farewell:
		for _, r := range g.routers {
			d.route(now, r, vrrp.Revoked{Yield: true})
		}
	default:
		panic(fmt.Sprintf("daemon: unknown action %T", a))
	}
}

// logDecision logs an action: once, however often it is tried.
func (d *Daemon) logDecision(now time.Duration, g *group, a claim.Action) {
	text, level := describe(now, a), d.log.Info
	_, bind := a.(claim.Bind)
	if extension := bind && g.told.Up; extension || text == g.decided {
		level = d.log.Debug
	}
	if !bind {
		g.decided = text
	}
	level("decided", "group", g.o.Name, "action", text, "epoch", g.machine.View().Group.Epoch)
}

// describe is an action in words. A permit's end is a reading of this node's clock, which says
// nothing to people, so they are told how long it lasts.
func describe(now time.Duration, a claim.Action) string {
	lasts := func(verb string, p claim.Permit) string {
		return fmt.Sprintf("%s: permit %s epoch %d for %v", verb, p.Group(), p.Epoch(), (p.Until() - now).Round(time.Millisecond))
	}
	switch a := a.(type) {
	case claim.Promote:
		return lasts("promote", a.Permit)
	case claim.Bind:
		return lasts("bind", a.Permit)
	case claim.Announce:
		return lasts("announce", a.Permit)
	}
	return fmt.Sprint(a)
}

// logRefusal logs what was not agreed: once, however often it is tried.
func (d *Daemon) logRefusal(g *group, p claim.Proposed) {
	text := ""
	if p.Err != nil {
		text = p.Command.String() + ": " + p.Err.Error()
	}
	level := d.log.Info
	if text == "" || text == g.refused {
		level = d.log.Debug
	}
	if g.refused = text; text != "" {
		level("not agreed", "group", g.o.Name, "command", p.Command.String(), "error", p.Err)
	}
}

// active tells the virtual routers that the addresses are up here.
func (d *Daemon) active(now time.Duration, g *group) {
	for _, r := range g.routers {
		d.route(now, r, vrrp.Granted{})
	}
	if g.o.Announce.Refresh > 0 && g.announceAt == never {
		g.announceAt = now + g.o.Announce.Refresh
	}
}

// quiet ends what a holder says while its addresses go down. The farewell comes after the
// release, or not at all.
func (d *Daemon) quiet(now time.Duration, g *group) {
	g.announceAt = never
	for _, r := range g.routers {
		d.route(now, r, vrrp.Revoked{})
	}
}

// announce sends the first burst and plans the second.
func (d *Daemon) announce(now time.Duration, g *group) {
	d.announcer.announce(g.o.Name, max(g.o.Announce.Repeat, 1))
	g.announceAt, g.second = never, false
	if g.o.Announce.Delay > 0 {
		g.announceAt, g.second = now+g.o.Announce.Delay, true
	} else if g.o.Announce.Refresh > 0 {
		g.announceAt = now + g.o.Announce.Refresh
	}
}

// announceAgain sends the second burst, or a refresh.
func (d *Daemon) announceAgain(now time.Duration, g *group) {
	repeat := 1
	if g.second {
		repeat = max(g.o.Announce.Repeat, 1)
	}
	d.announcer.announce(g.o.Name, repeat)
	g.announceAt, g.second = never, false
	if g.o.Announce.Refresh > 0 {
		g.announceAt = now + g.o.Announce.Refresh
	}
}

package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/vrrp"
)

// group is one group at work on this node.
type group struct {
	o       Group
	machine *claim.Machine
	in      *claim.Inheritance
	routers []*router
	wake    time.Duration

	told       claim.View // what the log and the file were last told
	announceAt time.Duration
	second     bool // the next announcement is the second burst
	stopHook   context.CancelCauseFunc
	stopFence  context.CancelCauseFunc
	active     string // under vrrp: who was last heard to be active
}

func (g *group) protected() bool { return g.o.Protection != arbiter.ProtectVRRP && g.o.Member }

// router is one virtual router of a group.
type router struct {
	group *group
	fsm   *vrrp.Machine
	link  Link
	wake  time.Duration
}

func (d *Daemon) addGroup(now time.Duration, o Group) {
	g := &group{o: o, wake: never, announceAt: never}
	if o.Member {
		g.in = d.inheritance(now, o)
	}
	g.machine = claim.New(claim.Config{
		Group: o.Name, Self: d.o.Boot, Protection: o.Protection, TTL: d.o.TTL, Margin: d.o.Margin,
		Outrank: outrank(o.Priority, d.o.Node), Inherited: g.in,
	})
	if o.Member {
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
	for _, a := range g.machine.Step(now, e) {
		d.perform(now, g, a)
	}
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
	level := d.log.Info
	if b, ok := a.(claim.Bind); ok && g.told.Up && b.Permit.Valid(now) {
		level = d.log.Debug // an extension, at every beat
	}
	level("decided", "group", g.o.Name, "action", fmt.Sprint(a), "epoch", g.machine.View().Group.Epoch)
	switch a := a.(type) {
	case claim.Propose:
		d.propose(a.Command, func(now time.Duration, p claim.Proposed) {
			if p.Err != nil {
				d.log.Info("not agreed", "group", g.o.Name, "command", p.Command.String(), "error", p.Err)
			}
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
	d.kernel.announce(g.o.Name, max(g.o.Announce.Repeat, 1))
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
	d.kernel.announce(g.o.Name, repeat)
	g.announceAt, g.second = never, false
	if g.o.Announce.Refresh > 0 {
		g.announceAt = now + g.o.Announce.Refresh
	}
}

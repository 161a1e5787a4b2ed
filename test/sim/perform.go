package sim

import (
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// step lets a group's machine decide and performs what it says.
func (g *group) step(e claim.Event) {
	p, w := g.p, g.p.n.w
	if w.Found != "" || p.dead {
		return
	}
	if w.plan.Bug.Event != nil {
		e = w.plan.Bug.Event(g, e)
	}
	actions := g.machine.Step(p.n.read(), e)
	v := g.machine.View()
	if v.Reason != g.reason {
		g.reason = v.Reason
		w.log("%s %s: %s (%s)", p.n.name, g.name, v.Reason, v.Role)
	}
	for _, a := range actions {
		w.log("%s %s: -> %v", p.n.name, g.name, a)
		g.perform(a)
	}
	p.n.saved[g.name] = saved{boot: p.boot, keep: v.Keeps, epoch: v.Group.Epoch, deadline: v.Deadline}
	g.arm()
}

// arm sets the timer that the machine asked for.
func (g *group) arm() {
	at, ok := g.machine.Wake()
	if !ok || at == g.wakeAt {
		return
	}
	g.wakeAt = at
	n := g.p.n
	n.w.queue.add(n.clock.When(at), func() {
		g.p.post(func() {
			if g.wakeAt == at {
				g.wakeAt = 0
				g.step(claim.Ticked{})
			}
		})
	})
}

func (g *group) perform(a claim.Action) {
	n, w := g.p.n, g.p.n.w
	switch a := a.(type) {
	case claim.Propose:
		g.propose(a.Command)
	case claim.Fence:
		g.startFence(a)
	case claim.CallOff:
		g.fence.calledOff = true
	case claim.Promote:
		n.promote(g, a.Permit.Epoch())
	case claim.Demote:
		n.demote(g, a.Epoch)
	case claim.Cancel:
		g.hook.cancel()
	case claim.Bind:
		w.audit.permitted(n, g, a.Permit)
		g.kernelWork(func() {
			err := n.kernel.bind(a.Permit)
			g.step(claim.Bound{Permit: a.Permit, Err: err})
		})
	case claim.Unbind:
		g.kernelWork(func() {
			var err error
			if !w.plan.Bug.NoUnbind {
				err = n.kernel.unbind(g.name)
			}
			g.step(claim.Unbound{Err: err})
		})
	case claim.Announce:
		w.audit.announced(n, g, a.Permit)
	case claim.Farewell:
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

func (g *group) propose(c arbiter.Command) {
	g.p.propose(c, func(e claim.Proposed) { g.step(e) })
}

// kernelWork is done by the daemon's worker, in the order in which it was asked.
func (g *group) kernelWork(do func()) {
	w := g.p.n.w
	w.after(500*time.Microsecond, func() { g.p.post(do) })
}

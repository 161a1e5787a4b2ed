package sim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// Process is one daemon: it steps the machines and performs what they say, as package daemon does.
// Everything that happens to it happens in its inbox, which stands still while it is paused.
type Process struct {
	n         *Node
	boot      arbiter.Boot
	session   *claim.Session
	groups    []*group
	dead      bool
	paused    bool
	stopping  bool
	inbox     []func()
	delivered uint64
	sessionAt time.Duration // the tick that is due
}

// group is one group at work in a process.
type group struct {
	p       *Process
	name    string
	machine *claim.Machine
	wakeAt  time.Duration // the tick that is due, by the node's clock
	fence   *shot
	hook    *hook
	reason  string
}

// saved is a group's file in the run directory.
type saved struct {
	boot     arbiter.Boot
	keep     bool
	epoch    uint64
	deadline time.Duration
}

func newProcess(n *Node) *Process {
	return &Process{n: n, boot: n.bootID()}
}

// begin reads what a former process of this boot left, sweeps the rest, and starts the machines.
func (p *Process) begin() {
	n, plan := p.n, p.n.w.plan
	n.w.log("%s: daemon starts, %v", n.name, p.boot)
	for _, s := range n.services {
		s.ending = false // hooks die with the daemon that ran them
	}
	p.session = claim.NewSession(p.boot, "", plan.TTL, plan.Margin)
	if n.member {
		for i, name := range n.w.groups {
			in := p.inheritance(name)
			if in == nil && !plan.Bug.NoSweep {
				delete(n.kernel.up, name)
			}
			g := &group{p: p, name: name}
			g.machine = claim.New(claim.Config{
				Group: name, Self: p.boot, Protection: plan.Protection, TTL: plan.TTL, Margin: plan.margin(),
				Outrank: n.w.outrank(n, i), Inherited: in,
			})
			p.groups = append(p.groups, g)
		}
	}
	for _, g := range p.groups {
		g.step(claim.Wanted{Up: !n.unfit[g.name], Why: "a check fails"})
	}
	n.w.ledger.push(n)
	p.stepSession(claim.Ticked{})
}

// outrank gives group i its own order of members.
func (w *World) outrank(n *Node, i int) []string {
	var out []string
	for k := range w.plan.Members {
		m := w.nodes[(i+k)%w.plan.Members]
		if m == n {
			break
		}
		out = append(out, m.name)
	}
	return out
}

func (p *Process) inheritance(name string) *claim.Inheritance {
	n, plan := p.n, p.n.w.plan
	f, now := n.saved[name], n.read()
	late := now >= f.deadline-plan.Margin && !plan.Bug.InheritLate
	if !f.keep || f.boot != p.boot || late || f.deadline > now+plan.TTL {
		return nil
	}
	n.w.log("%s: inherits %s epoch %d", n.name, name, f.epoch)
	deadline := f.deadline
	if plan.Bug.InheritLate {
		deadline = max(deadline, now+plan.TTL)
	}
	return &claim.Inheritance{Epoch: f.epoch, Deadline: deadline}
}

// post does something in the daemon's loop: now, or when it is thawed, or never.
func (p *Process) post(do func()) {
	switch {
	case p.dead:
	case p.paused:
		p.inbox = append(p.inbox, do)
	default:
		do()
	}
}

func (p *Process) thaw() {
	if p.dead || !p.paused {
		return
	}
	p.n.w.log("%s: daemon thawed", p.n.name)
	p.paused = false
	waiting := p.inbox
	p.inbox = nil
	if p.n.w.chance(50) { // a timer may be looked at first
		for _, g := range p.groups {
			g.step(claim.Ticked{})
		}
	}
	for _, do := range waiting {
		p.post(do)
	}
}

// learn hands the replica's record to the machines.
func (p *Process) learn() {
	p.post(func() {
		r := p.n.replica
		if r.Index <= p.delivered {
			return
		}
		p.delivered = r.Index
		p.stepSession(claim.Seen{Record: r})
		for _, g := range p.groups {
			g.step(claim.Seen{Record: r})
		}
	})
}

func (p *Process) stepSession(e claim.Event) {
	w := p.n.w
	for _, a := range p.session.Step(p.n.read(), e) {
		p.propose(a.(claim.Propose).Command, func(e claim.Proposed) {
			if e.Err == nil || w.plan.Bug.BeatUnknown && arbiter.RefusedAs(e.Err) == "" {
				if e.Record.Index == 0 {
					e.Record = p.n.replica
				}
				for _, g := range p.groups {
					g.step(claim.Renewed{Sent: e.Sent, Record: e.Record})
				}
			}
			p.stepSession(e)
		})
	}
	if end := p.session.End(); end != "" {
		for _, g := range p.groups {
			g.want(false, end)
		}
		return
	}
	if at, ok := p.session.Wake(); ok && at != p.sessionAt {
		p.sessionAt = at
		w.queue.add(p.n.clock.When(at), func() {
			p.post(func() {
				if p.sessionAt == at {
					p.sessionAt = 0
					p.stepSession(claim.Ticked{})
				}
			})
		})
	}
}

// propose sends a command and gives its sender up after a beat's time.
func (p *Process) propose(c arbiter.Command, done func(claim.Proposed)) {
	w, sent, open := p.n.w, p.n.read(), true
	answered := func(a answer) {
		p.post(func() {
			if open {
				open = false
				from := sent
				if w.plan.Bug.CountFromAnswer {
					from = p.n.read()
				}
				done(claim.Proposed{Command: c, Sent: from, Record: a.record, Err: a.err})
			}
		})
	}
	w.ledger.send(p.n, c, sent, answered)
	w.after(claim.Beat(w.plan.TTL), func() { answered(answer{err: errLost}) })
}

func (g *group) want(up bool, why string) { g.step(claim.Wanted{Up: up, Why: why}) }

// stop hands everything over and then ends the daemon, or ends it after a while anyway.
func (p *Process) stop() {
	p.post(func() {
		p.n.w.log("%s: SIGTERM", p.n.name)
		p.stopping = true
		for _, g := range p.groups {
			g.want(false, "stopping")
		}
		p.exit(p.n.w.now + p.n.w.plan.TTL + 5*time.Second)
	})
}

func (p *Process) exit(limit time.Duration) {
	idle := true
	for _, g := range p.groups {
		idle = idle && g.machine.Idle()
	}
	if !idle && p.n.w.now < limit {
		p.n.w.after(50*time.Millisecond, func() { p.post(func() { p.exit(limit) }) })
		return
	}
	for _, g := range p.groups {
		_ = p.n.kernel.unbind(g.name)
	}
	p.n.kill("daemon ended")
}

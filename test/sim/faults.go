package sim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
)

// sowFaults plans what goes wrong, and when.
func (w *World) sowFaults() {
	for range w.plan.Faults {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		member := w.nodes[w.rng.IntN(w.plan.Members)]
		group := w.groups[w.rng.IntN(len(w.groups))]
		fault := w.fault(n, member, group)
		w.queue.add(w.between(2*time.Second, w.plan.Storm), fault)
	}
	for at := 3 * time.Second; at < w.plan.Storm; at += 4 * time.Second {
		w.queue.add(at, w.operator)
	}
}

// fault is one thing that goes wrong, or that an operator does.
func (w *World) fault(n, member *Node, group string) func() {
	switch w.rng.IntN(14) {
	case 0, 1:
		return func() { w.cut(n, w.rng.IntN(3), w.between(100*time.Millisecond, 15*time.Second)) }
	case 2:
		return func() { w.outage(w.between(100*time.Millisecond, 6*time.Second)) }
	case 3, 4:
		return func() { w.freeze(member, w.between(100*time.Millisecond, 15*time.Second)) }
	case 5:
		return func() {
			member.kill("daemon killed")
			if w.chance(15) {
				member.loseState()
			}
			w.after(w.between(100*time.Millisecond, 8*time.Second), member.start)
		}
	case 6:
		return func() {
			if member.process != nil {
				member.process.stop()
			}
			for _, at := range []time.Duration{9 * time.Second, 15 * time.Second} {
				w.after(at, member.start)
			}
		}
	case 7:
		return func() {
			n.halt("machine crashes")
			w.after(w.between(2*time.Second, 30*time.Second), n.boot)
		}
	case 8:
		mood := bmcMood(1 + w.rng.IntN(4))
		return func() {
			member.bmc.mood = mood
			w.after(w.between(2*time.Second, 30*time.Second), func() { member.bmc.mood = bmcWorks })
		}
	case 9:
		mood := hookMood(1 + w.rng.IntN(3))
		return func() {
			member.hooks = mood
			w.after(w.between(2*time.Second, 20*time.Second), func() { member.hooks = hooksWork })
		}
	case 10, 11:
		return func() {
			w.check(member, group, false)
			w.after(w.between(time.Millisecond, 2*time.Second), func() { w.check(member, group, true) })
		}
	case 12:
		return func() { w.switchover(n, member, group) }
	}
	return func() {
		if member.running {
			w.log("%s: netlink fails", member.name)
			member.kernel.broken = w.now + w.between(100*time.Millisecond, 4*time.Second)
		}
	}
}

// cut parts a node from the ledger: what it sends, what it is sent, or both.
func (w *World) cut(n *Node, how int, long time.Duration) {
	n.cutOut, n.cutIn = how != 1, how != 2
	w.log("%s: cut off (out %v, in %v) for %v", n.name, n.cutOut, n.cutIn, long)
	w.after(long, func() { w.mend(n) })
}

func (w *World) mend(n *Node) {
	n.cutOut, n.cutIn = false, false
	w.ledger.push(n)
}

// outage is a ledger without a quorum.
func (w *World) outage(long time.Duration) {
	w.log("the ledger has no quorum for %v", long)
	w.ledger.down = true
	w.after(long, func() { w.ledger.down = false })
}

func (w *World) freeze(n *Node, long time.Duration) {
	if p := n.process; p != nil {
		w.log("%s: daemon frozen for %v", n.name, long)
		p.paused = true
		w.after(long, p.thaw)
	}
}

// check is a health check that changes its mind.
func (w *World) check(n *Node, group string, fit bool) {
	n.unfit[group] = !fit
	if p := n.process; p != nil {
		p.post(func() {
			if g := n.at(p.boot, group); g != nil && !p.stopping {
				g.want(!n.unfit[group], "a check fails")
			}
		})
	}
}

func (w *World) switchover(n, to *Node, group string) {
	if n.process == nil || n.process.paused {
		return
	}
	r := n.replica.Groups[group]
	w.log("%s: solevip switchover %s --to %s", n.name, group, to.name)
	w.ledger.send(n, arbiter.Move{Node: n.name, Group: group, Epoch: r.Epoch, To: to.name}, n.read(), nil)
}

// operator looks at the machines and confirms those dead that are: that is true for ever of a boot
// that is over.
func (w *World) operator() {
	for _, g := range w.ledger.record.Groups {
		b := g.Suspect
		if b.IsZero() || w.node(b.Node).runs(b) || !w.chance(20) {
			continue
		}
		w.log("operator confirms that %v is dead", b)
		arb := w.node("arb")
		w.ledger.send(arb, arbiter.Attest{
			Node: "arb", Target: b, Seen: w.ledger.record.Nodes[b.Node].Beat, Operator: "ann", Reason: "its power is off",
		}, arb.read(), nil)
	}
}

// heal ends every fault: machines and daemons run, and everything works.
func (w *World) heal() {
	w.log("all is healed")
	w.calm = true
	w.ledger.down = false
	for _, n := range w.nodes {
		n.bmc.mood, n.hooks = bmcWorks, hooksWork
		w.mend(n)
		if n.running {
			n.kernel.broken = 0
		}
		if n.process != nil {
			n.process.thaw()
		}
		for _, g := range w.groups {
			w.check(n, g, true)
		}
		w.after(w.upTo(3*time.Second), func() { n.boot(); n.start() })
		w.after(12*time.Second, n.start)
	}
}

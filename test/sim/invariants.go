package sim

import (
	"strings"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// Audit judges a history by the guarantees G1 to G6 of docs/safety.md. It sees everything: true
// time, every kernel, and the ledger as it really is.
type Audit struct {
	w                                              *World
	holders                                        map[epochOf]arbiter.Boot         // G4: who was given an epoch
	unproved                                       map[string]map[arbiter.Boot]bool // G2: boots that were up in a group and have no evidence since
	renewed                                        map[arbiter.Boot]time.Duration   // G6: when the newest agreed renewal was sent, by its node's clock
	settled                                        map[string]arbiter.Group         // liveness: how every group stood once all was healed
	Binds, Shots, Takes, Failed, Expired, Inherits int                              // how much happened, so that a test can see that something did
}

type epochOf struct {
	group string
	epoch uint64
}

func newAudit(w *World) *Audit {
	return &Audit{
		w: w, holders: map[epochOf]arbiter.Boot{}, unproved: map[string]map[arbiter.Boot]bool{},
		renewed: map[arbiter.Boot]time.Duration{}, settled: map[string]arbiter.Group{},
	}
}

// look is G1: at any instant at most one node answers for a group.
func (a *Audit) look() {
	for _, g := range a.w.groups {
		var who []string
		for _, n := range a.w.nodes {
			if n.answers(g) {
				who = append(who, n.name)
			}
		}
		if len(who) > 1 {
			a.w.fail("G1", "%s is up on %s", g, strings.Join(who, " and "))
		}
	}
}

// agreed judges a command that changed the ledger.
func (a *Audit) agreed(from *Node, c arbiter.Command, sent time.Duration, before, after arbiter.Record, err error) {
	if err != nil {
		return
	}
	a.epochs(before, after)
	switch c := c.(type) {
	case arbiter.Register:
		a.renew(c.Boot, sent)
		a.evidence("", "new-boot", func(b arbiter.Boot) bool { return b.Node == c.Boot.Node && b.Kernel != c.Boot.Kernel })
	case arbiter.Beat:
		a.renew(c.Boot, sent)
	case arbiter.Take:
		a.Takes++
		a.renew(c.Boot, sent)
		a.notFromRunning(c, before.Groups[c.Group])
	case arbiter.Release:
		if !c.Dirty {
			a.released(c)
		}
	case arbiter.Clear:
		a.cleared(c)
	case arbiter.Attest:
		a.evidence("", "operator-attested", func(b arbiter.Boot) bool { return b == c.Target })
	case arbiter.Report:
		a.Failed++
	}
}

func (a *Audit) renew(b arbiter.Boot, sent time.Duration) { a.renewed[b] = max(a.renewed[b], sent) }

// epochs is G4: epochs never go back, and each has one holder.
func (a *Audit) epochs(before, after arbiter.Record) {
	for name, now := range after.Groups {
		was := before.Groups[name]
		if now.Epoch < was.Epoch {
			a.w.fail("G4", "%s went back from epoch %d to %d", name, was.Epoch, now.Epoch)
		}
		if now.Holder.IsZero() {
			continue
		}
		key := epochOf{name, now.Epoch}
		if first, known := a.holders[key]; known && first != now.Holder {
			a.w.fail("G4", "epoch %d of %s belongs to %v and %v", now.Epoch, name, first, now.Holder)
		}
		a.holders[key] = now.Holder
	}
}

// notFromRunning is the first half of G3: nobody takes from a holder whose lease still runs by its
// own clock. Who is taken from becomes the suspect and is shot.
func (a *Audit) notFromRunning(c arbiter.Take, before arbiter.Group) {
	if before.Holder.IsZero() {
		return
	}
	n := a.w.node(before.Holder.Node)
	g := n.at(before.Holder, c.Group)
	if g == nil {
		return
	}
	v := g.machine.View()
	if left := v.Deadline - n.read(); v.Group.Holder == before.Holder && v.Group.Epoch == before.Epoch && left > 0 {
		a.w.fail("G3", "%v took %s from %v, whose lease runs for another %v", c.Boot, c.Group, before.Holder, left)
	}
}

// at is a group's machine in the daemon of a boot, while it runs.
func (n *Node) at(b arbiter.Boot, name string) *group {
	if n.process == nil || n.process.boot != b {
		return nil
	}
	for _, g := range n.process.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

// released checks that who says it gave a group back did.
func (a *Audit) released(c arbiter.Release) {
	n := a.w.node(c.Boot.Node)
	if n.runs(c.Boot) && n.answers(c.Group) {
		a.w.fail("G2", "%v released %s, and answers for it", c.Boot, c.Group)
	}
	if n.runs(c.Boot) && n.service(c.Group).mayRun {
		a.w.fail("G2", "%v released %s, and its service was not demoted", c.Boot, c.Group)
	}
	delete(a.unproved[c.Group], c.Boot)
}

func (a *Audit) cleared(c arbiter.Clear) {
	if c.Evidence == arbiter.PowerOffVerified {
		a.evidence("", string(c.Evidence), func(b arbiter.Boot) bool { return b == c.Suspect })
		return
	}
	a.Expired++
	n := a.w.node(c.Suspect.Node)
	switch {
	case a.w.plan.Protection != arbiter.ProtectLease:
		a.w.fail("G2", "%v was cleared as %s in a group of protection %s", c.Suspect, c.Evidence, a.w.plan.Protection)
	case n.runs(c.Suspect) && n.answers(c.Group):
		a.w.fail("G2", "%v was cleared as %s, and answers for %s", c.Suspect, c.Evidence, c.Group)
	}
	delete(a.unproved[c.Group], c.Suspect)
}

// evidence notes that boots are over, in one group or in all, and checks that they are.
func (a *Audit) evidence(group, why string, over func(arbiter.Boot) bool) {
	for name, boots := range a.unproved {
		for b := range boots {
			if !over(b) || group != "" && group != name {
				continue
			}
			if a.w.node(b.Node).runs(b) {
				a.w.fail("G2", "%v counts as %s and runs", b, why)
			}
			delete(boots, b)
		}
	}
}

// mayBeUp notes that from now on a boot may have a group up.
func (a *Audit) mayBeUp(b arbiter.Boot, group string) {
	if a.unproved[group] == nil {
		a.unproved[group] = map[arbiter.Boot]bool{}
	}
	a.unproved[group][b] = true
}

// promotes is the start of a promote hook: G2 for the service behind the addresses.
func (a *Audit) promotes(n *Node, g *group, epoch uint64) {
	a.others(n, g.p.boot, g.name, "promotes")
	a.mayBeUp(g.p.boot, g.name)
	r := a.w.ledger.record.Groups[g.name]
	for _, other := range a.w.nodes {
		certain := a.w.plan.Protection == arbiter.ProtectFence || r.Evidence == arbiter.Released && r.Previous == other.name
		if other != n && other.running && certain && other.service(g.name).mayRun {
			a.w.fail("G2", "%s promotes %s, which was not demoted on %s", n.name, g.name, other.name)
		}
	}
}

// permitted is the decision to have addresses up: G4 and G6, and that the ledger agrees (G3).
func (a *Audit) permitted(n *Node, g *group, p claim.Permit) {
	boot, r := g.p.boot, a.w.ledger.record.Groups[g.name]
	if r.Holder != boot || r.Epoch != p.Epoch() {
		a.w.fail("G1", "%v has %v; in the ledger %v holds it at epoch %d", boot, p, r.Holder, r.Epoch)
	}
	if last := a.renewed[boot] + a.w.plan.TTL - a.w.plan.margin(); p.Until() > last {
		a.w.fail("G6", "%v has %v; its newest agreed renewal allows %v", boot, p, last)
	}
	s := n.service(g.name)
	if s.epoch != p.Epoch() || !s.good && !s.ending {
		a.w.fail("G4", "%v brings %s up at epoch %d; its service was promoted at %d (good: %v)", boot, g.name, p.Epoch(), s.epoch, s.good)
	}
}

// bound is an address that comes up or stays up.
func (a *Audit) bound(n *Node, p claim.Permit) {
	a.Binds++
	boot := n.process.boot
	a.others(n, boot, p.Group(), "binds")
	a.mayBeUp(boot, p.Group())
}

// others is G2, and with it G5: every former holder has evidence, agreed before.
func (a *Audit) others(n *Node, boot arbiter.Boot, group, does string) {
	for b := range a.unproved[group] {
		if b != boot {
			a.w.fail("G2", "%v %s %s, and there is no evidence about %v", boot, does, group, b)
		}
	}
}

func (a *Audit) announced(n *Node, g *group, p claim.Permit) {
	if !n.answers(g.name) {
		a.w.fail("G1", "%v announces %s, which is not up there", g.p.boot, p)
	}
}

// shot is the second half of G3: who shoots owns the newest epoch, and shoots its suspect.
func (a *Audit) shot(by arbiter.Boot, f claim.Fence, target *Node) {
	a.Shots++
	g := a.w.ledger.record.Groups[f.Group]
	switch {
	case g.Holder != by || g.Epoch != f.Epoch:
		a.w.fail("G3", "%v shoots %s for epoch %d of %s, which %v holds at epoch %d", by, target.name, f.Epoch, f.Group, g.Holder, g.Epoch)
	case g.Suspect != f.Suspect && !g.Suspect.IsZero():
		a.w.fail("G3", "%v shoots %v; the suspect of %s is %v", by, f.Suspect, f.Group, g.Suspect)
	}
}

// recovered is liveness: some time after the last fault every group is held, and is up there.
func (a *Audit) recovered() {
	for _, name := range a.w.groups {
		g := a.w.ledger.record.Groups[name]
		a.settled[name] = g
		if n := a.w.node(g.Holder.Node); n == nil || !g.Suspect.IsZero() || !n.answers(name) {
			a.w.fail("liveness", "%s is held by %v (suspect %v) and %s", name, g.Holder, g.Suspect, a.reasons(name))
		}
	}
}

// quiet is that nothing moves without cause.
func (a *Audit) quiet() {
	for _, name := range a.w.groups {
		if g := a.w.ledger.record.Groups[name]; g != a.settled[name] {
			a.w.fail("liveness", "%s does not rest: %+v became %+v; %s", name, a.settled[name], g, a.reasons(name))
		}
	}
}

func (a *Audit) reasons(name string) string {
	var out []string
	for _, n := range a.w.nodes {
		if n.process == nil || !n.member {
			continue
		}
		out = append(out, n.name+" says "+n.at(n.process.boot, name).machine.View().Reason+", "+n.process.session.Reason())
	}
	return strings.Join(out, "; ")
}

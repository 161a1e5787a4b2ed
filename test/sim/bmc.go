package sim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// BMC is the power device of a node. What it says of the power is true; everything else it may
// get wrong.
type BMC struct {
	n    *Node
	mood bmcMood
}

type bmcMood int

const (
	bmcWorks bmcMood = iota
	bmcGone          // does not answer
	bmcRefuses
	bmcNods // says yes and does nothing
	bmcSlow
)

// shot is one fence that is under way in a daemon.
type shot struct {
	g         *group
	fence     claim.Fence
	calledOff bool
	sent      bool
	limit     time.Duration // true time
}

const (
	fenceLimit   = 10 * time.Second
	statusLimit  = 2 * time.Second
	pollPause    = 200 * time.Millisecond
	commandLimit = 50 * time.Millisecond // in flight, at most: below the margin
)

// startFence asks for the status first, then for off, then for the status until it says off.
func (g *group) startFence(a claim.Fence) {
	w := g.p.n.w
	g.fence = &shot{g: g, fence: a, limit: w.now + fenceLimit}
	if w.plan.Bug.SkipFence {
		w.after(w.upTo(time.Second), func() { g.fence.end(true, "off", "never tried") })
		return
	}
	g.fence.status()
}

func (s *shot) bmc() *BMC { return s.g.p.n.w.node(s.fence.Suspect.Node).bmc }

func (s *shot) end(off bool, outcome, detail string) {
	s.g.p.post(func() {
		s.g.step(claim.Fenced{Suspect: s.fence.Suspect, Off: off, Outcome: outcome, Method: "ipmi", Detail: detail})
	})
}

func (s *shot) status() {
	w := s.g.p.n.w
	took := w.between(time.Millisecond, 40*time.Millisecond)
	if s.bmc().mood == bmcGone {
		took = statusLimit
	}
	w.after(took, func() { s.g.p.post(s.told) })
}

// told goes on with what the status said.
func (s *shot) told() {
	w, gone := s.g.p.n.w, s.bmc().mood == bmcGone
	stops := s.calledOff && !w.plan.Bug.ShootAnyway
	switch {
	case !gone && !s.bmc().n.powered:
		s.end(true, "off", "")
	case stops:
		s.end(false, "unknown", "called off")
	case w.now >= s.limit:
		s.end(false, map[bool]string{true: "unknown", false: "not-off"}[gone], "still on")
	case s.sent:
		w.after(pollPause, func() { s.g.p.post(s.status) })
	case gone:
		s.end(false, "unknown", "no answer")
	case !w.plan.Bug.ShootAnyway && !s.g.machine.MayFence(s.g.p.n.read()):
		s.end(false, "unknown", "the right to shoot is gone")
	default:
		s.shoot()
	}
}

// shoot sends the one command that can't be taken back.
func (s *shot) shoot() {
	w, b := s.g.p.n.w, s.bmc()
	s.sent = true
	by, flight := s.g.p.boot, w.upTo(commandLimit)
	if w.plan.Bug.ShootAnyway {
		flight = w.upTo(fenceLimit)
	}
	w.after(flight, func() {
		b.off(by, s.fence)
		s.g.p.post(s.status)
	})
}

// off is the command as the device gets it.
func (b *BMC) off(by arbiter.Boot, f claim.Fence) {
	w := b.n.w
	var took time.Duration
	switch b.mood {
	case bmcGone, bmcRefuses, bmcNods:
		return
	case bmcSlow:
		took = w.between(3*time.Second, 8*time.Second)
	default:
		took = w.between(50*time.Millisecond, 1500*time.Millisecond)
	}
	w.log("%s shoots %v for %s epoch %d", by.Node, f.Suspect, f.Group, f.Epoch)
	w.audit.shot(by, f, b.n)
	w.after(took, func() {
		if b.n.powered {
			b.n.cutPower()
		}
	})
}

package sim

import (
	"errors"
	"time"

	"github.com/solevip/solevip/claim"
)

// service is the database behind a group, on one node. Only a finished demote hook, or the end of
// the machine's life, makes it certain that it is stopped.
type service struct {
	mayRun bool
	good   bool   // the last promote hook finished, and no demote hook began since
	ending bool   // a demote hook runs
	epoch  uint64 // that the last promote hook was given
}

func (n *Node) service(group string) *service {
	s := n.services[group]
	if s == nil {
		s = &service{}
		n.services[group] = s
	}
	return s
}

// hookMood is how a node's hooks behave at a time.
type hookMood int

const (
	hooksWork hookMood = iota
	hooksFail
	hooksHang // until they are cancelled, or their own deadline
	hooksSlow
)

// hook is one that runs.
type hook struct{ cancel func() }

const hookLimit = 12 * time.Second

var errHook = errors.New("exit status 1")

// run runs a hook and tells how it ended. A cancelled hook mostly fails, and sometimes had just
// finished.
func (g *group) run(done func(error)) {
	w, n, open := g.p.n.w, g.p.n, true
	end := func(err error) {
		g.p.post(func() {
			if open {
				open = false
				done(err)
			}
		})
	}
	took, err := w.upTo(w.plan.HookTime), error(nil)
	switch n.hooks {
	case hooksFail:
		err = errHook
	case hooksHang:
		took, err = hookLimit, errHook
	case hooksSlow:
		took = w.between(time.Second, 5*time.Second)
	}
	w.after(took, func() { end(err) })
	stubborn := w.chance(15)
	g.hook = &hook{cancel: func() {
		w.after(w.upTo(20*time.Millisecond), func() {
			if !stubborn {
				end(errors.New("cancelled"))
			}
		})
	}}
}
func (n *Node) promote(g *group, epoch uint64) {
	n.w.audit.promotes(n, g, epoch)
	s := n.service(g.name)
	s.mayRun, s.good, s.epoch = true, false, epoch
	g.run(func(err error) {
		s.good = err == nil
		g.step(claim.Promoted{Err: err})
	})
}

func (n *Node) demote(g *group, epoch uint64) {
	s := n.service(g.name)
	s.good, s.ending = false, true
	g.run(func(err error) {
		s.ending = false
		if err == nil {
			s.mayRun = false
		}
		if n.w.plan.Bug.DemoteLies {
			err = nil
		}
		g.step(claim.Demoted{Err: err})
	})
}

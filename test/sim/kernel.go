package sim

import (
	"errors"
	"time"

	"github.com/solevip/solevip/claim"
)

// Kernel is a node's network stack: which groups' addresses answer, and until when.
type Kernel struct {
	n      *Node
	up     map[string]*address
	broken time.Duration // until this true instant, calls fail
}

// address is a group's addresses, up under a permit.
type address struct {
	epoch uint64
	until time.Duration // by the node's clock: when the dead-man takes it
}

var errKernel = errors.New("netlink: no buffer space")

func (k *Kernel) fails() bool { return k.n.w.now < k.broken }

// bind brings a group's addresses up, or extends them. A permit that has ended binds nothing.
func (k *Kernel) bind(p claim.Permit) error {
	w, n := k.n.w, k.n
	if k.fails() {
		return errKernel
	}
	if !p.Valid(n.read()) {
		return errors.New("the permit ended")
	}
	a := &address{epoch: p.Epoch(), until: p.Until()}
	if was := k.up[p.Group()]; was != nil && was.epoch == a.epoch {
		a.until = max(a.until, was.until)
	}
	w.audit.bound(n, p)
	k.up[p.Group()] = a
	if w.plan.DeadMan {
		w.queue.add(n.clock.When(a.until)+w.upTo(w.plan.Lateness), func() {
			if k.up[p.Group()] == a && n.kernel == k {
				w.log("%s: the kernel lets %s go, epoch %d", n.name, p.Group(), a.epoch)
				delete(k.up, p.Group())
			}
		})
	}
	return nil
}

func (k *Kernel) unbind(group string) error {
	if k.fails() {
		return errKernel
	}
	delete(k.up, group)
	return nil
}

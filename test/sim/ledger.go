package sim

import (
	"errors"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Ledger is one linearizable record, as Raft or etcd give it, behind a network that delays, loses
// and repeats. A command that was sent may be agreed long after its sender gave up.
type Ledger struct {
	w      *World
	record arbiter.Record
	apply  func(arbiter.Record, arbiter.Command) (arbiter.Record, error)
	down   bool // no quorum: nothing arrives
}

func newLedger(w *World) *Ledger {
	l := &Ledger{w: w, apply: arbiter.Apply, record: arbiter.Record{Index: 1}}
	if w.plan.Bug.Apply != nil {
		l.apply = w.plan.Bug.Apply
	}
	return l
}

// errLost is an outcome that the sender does not know.
var errLost = errors.New("no answer in time")

// answer is the ledger's to a command.
type answer struct {
	record arbiter.Record
	err    error
}

// send carries a command of a node to the ledger and its answer back. Sent is the reading of the
// sender's clock. Back may never be called, and is called at most once.
func (l *Ledger) send(n *Node, c arbiter.Command, sent time.Duration, back func(answer)) {
	w := l.w
	if n.cutOut && !w.chance(3) || !w.calm && w.chance(1) {
		return // lost on the way there
	}
	w.after(w.wire(), func() { l.arrive(n, c, sent, back) })
	if !w.calm && w.chance(w.plan.Copies) { // and a copy of it, much later
		w.after(w.upTo(25*time.Second), func() { l.arrive(n, c, sent, nil) })
	}
}

func (l *Ledger) arrive(n *Node, c arbiter.Command, sent time.Duration, back func(answer)) {
	w := l.w
	if l.down {
		return
	}
	before := l.record
	after, err := l.apply(before, c)
	after.Index = before.Index + 1
	l.record = after
	w.log("ledger %d: %v%s", after.Index, c, because(err))
	w.audit.agreed(n, c, sent, before, after, err)
	for _, to := range w.nodes {
		l.push(to)
	}
	if back == nil || n.cutIn || !w.calm && w.chance(1) {
		return // lost on the way back
	}
	w.after(w.wire(), func() { back(answer{after, err}) })
}

// push carries the record as of now to a node's replica; what is cut off gets a later one.
func (l *Ledger) push(to *Node) {
	r := l.record
	l.w.after(l.w.wire(), func() {
		if to.cutIn || !to.running {
			return
		}
		if to.replica.Index < r.Index {
			to.replica = r
		}
		if to.process != nil {
			to.process.learn()
		}
	})
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return "; refused, " + err.Error()
}

// wire is how long a message takes: mostly little, sometimes much.
func (w *World) wire() time.Duration {
	switch x := w.rng.Float64(); {
	case w.calm || x < 0.90:
		return w.between(100*time.Microsecond, 5*time.Millisecond)
	case x < 0.985:
		return w.upTo(300 * time.Millisecond)
	}
	return w.upTo(8 * time.Second)
}

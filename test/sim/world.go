// Package sim runs whole clusters in virtual time: the machines of package claim and the ledger
// of package arbiter as they are, and around them a simulated world of nodes with clocks of their
// own, kernels, power devices, hooks, a network that delays, loses and repeats, and an operator.
// One seed is one history, always the same one; the invariants (invariants.go) are checked as it
// unfolds.
//
// It owns the world and the judgement. It has no copy of any rule that it judges. The world is
// kinder than the real one in what docs/safety.md assumes: clocks' rates differ by less than 1 %,
// a running kernel runs its timers (in groups of protection lease; with fence it may not), and a
// power device that says off tells the truth.
package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Plan is what is decided about a history before it begins.
type Plan struct {
	Seed       uint64
	Protection arbiter.Protection
	Members    int // nodes that may hold; one arbiter comes on top
	Groups     int
	TTL        time.Duration
	Margin     time.Duration
	Lateness   time.Duration // of the kernel's dead-man, at most
	DeadMan    bool          // the kernel lets addresses go by itself
	Drift      int64         // by how many ppm a clock may run fast or slow
	Faults     int           // how many things go wrong
	Storm      time.Duration // for how long
	Copies     float64       // per cent of the commands that come once more, much later
	HookTime   time.Duration // of a hook that works, at most
	Bug        Bug           // what is wrong in the program; the zero value is nothing
}

// PlanOf is the plan of a seed.
func PlanOf(seed uint64, protection arbiter.Protection) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := Plan{
		Seed: seed, Protection: protection, Members: 2 + r.IntN(2), Groups: 1 + r.IntN(2),
		TTL: 3 * time.Second, Margin: 100 * time.Millisecond, Lateness: 50 * time.Millisecond,
		DeadMan: true, Drift: 4990, Faults: 10 + r.IntN(30), Storm: 60 * time.Second,
		HookTime: 300 * time.Millisecond, Copies: 2,
	}
	if protection == arbiter.ProtectFence {
		p.DeadMan = r.IntN(3) > 0 // fencing must not need it
	}
	return p
}

// World is one history.
type World struct {
	plan   Plan
	now    time.Duration // true time
	rng    *rand.Rand
	queue  queue
	ledger *Ledger
	nodes  []*Node
	groups []string
	calm   bool // the faults are over
	audit  *Audit
	trace  func(string)
	Found  string // the first violation
}

// New is a world before its first event. Trace, when given, is told every line of the history.
func New(p Plan, trace func(string)) *World {
	w := &World{plan: p, rng: rand.New(rand.NewPCG(p.Seed, 2)), trace: trace}
	w.audit = newAudit(w)
	w.ledger = newLedger(w)
	for i := range p.Groups {
		w.groups = append(w.groups, fmt.Sprintf("g%d", i+1))
	}
	for i := range p.Members + 1 {
		w.nodes = append(w.nodes, newNode(w, i, i < p.Members))
	}
	for _, n := range w.nodes {
		w.after(w.upTo(2*time.Second), n.boot)
	}
	return w
}

// Run lets the storm pass, heals everything, and sees that every group is held and stays held.
func (w *World) Run() string {
	w.sowFaults()
	w.runTo(w.plan.Storm)
	w.heal()
	w.runTo(w.plan.Storm + recovery)
	w.audit.recovered()
	w.runTo(w.plan.Storm + recovery + quiet)
	w.audit.quiet()
	return w.Found
}

// What is granted after the last fault: a back-off at its longest, a boot, and a take-over; and
// then a while in which nothing may move any more.
const (
	recovery = 55 * time.Second
	quiet    = 20 * time.Second
)

func (w *World) runTo(end time.Duration) {
	w.queue.add(end, func() {})
	for w.Found == "" {
		it, ok := w.queue.next()
		if !ok {
			return
		}
		w.now = it.at
		it.do()
		w.audit.look()
		if w.now >= end {
			return
		}
	}
}

func (w *World) after(d time.Duration, do func()) { w.queue.add(w.now+max(d, 0), do) }

// fail notes the first violation of an invariant.
func (w *World) fail(rule, format string, args ...any) {
	if w.Found == "" {
		w.Found = fmt.Sprintf("%s at %v: %s", rule, w.now, fmt.Sprintf(format, args...))
		w.log("VIOLATION of %s", w.Found)
	}
}

func (w *World) log(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%12.6f  ", w.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

func (w *World) node(name string) *Node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// upTo is a random duration below a limit.
func (w *World) upTo(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(limit)))
}

func (w *World) between(low, high time.Duration) time.Duration { return low + w.upTo(high-low) }

// chance is true in so many cases of a hundred.
func (w *World) chance(percent float64) bool { return w.rng.Float64()*100 < percent }

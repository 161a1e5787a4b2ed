package sim

import (
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// settled is a world without faults in which g1 is held for a while, and its holder.
func settled(t *testing.T, seed uint64, protection arbiter.Protection) (*World, *Node) {
	t.Helper()
	p := PlanOf(seed, protection)
	p.HookTime, p.DeadMan = 0, true
	w := New(p, tracer())
	w.calm = true
	w.runTo(w.between(10*time.Second, 15*time.Second))
	holder := w.node(w.ledger.record.Groups["g1"].Holder.Node)
	if w.Found != "" || holder == nil || !holder.answers("g1") {
		t.Fatalf("seed %d: g1 is not up at first (%s)", seed, w.Found)
	}
	return w, holder
}

// unanswered runs until g1 is up again, and tells for how long nobody answered.
func (w *World) unanswered(limit time.Duration) (time.Duration, bool) {
	end, out, since := w.now+limit, time.Duration(0), time.Duration(-1)
	for w.now < end && w.Found == "" {
		it, ok := w.queue.next()
		if !ok {
			break
		}
		w.now = it.at
		it.do()
		w.audit.look()
		up := false
		for _, n := range w.nodes {
			up = up || n.answers("g1")
		}
		switch {
		case !up && since < 0:
			since = w.now
		case up && since >= 0:
			out, since = out+w.now-since, -1
		}
	}
	return out, since < 0
}

const timesSeeds = 100

// TestCrashIsOverInTime is the bound of design: ttl + margin + the fence + 100 ms after a crash.
func TestCrashIsOverInTime(t *testing.T) {
	device := 40*time.Millisecond + commandLimit + 1500*time.Millisecond + pollPause + 2*40*time.Millisecond
	for _, protection := range []arbiter.Protection{arbiter.ProtectFence, arbiter.ProtectLease} {
		var worst time.Duration
		for seed := range uint64(timesSeeds) {
			w, holder := settled(t, seed, protection)
			holder.halt("machine crashes")
			out, up := w.unanswered(15 * time.Second)
			limit := claim.Takeover(w.plan.TTL, w.plan.Margin)*1005/1000 + 100*time.Millisecond
			if protection == arbiter.ProtectFence {
				limit += device
			}
			if !up || out > limit || w.Found != "" {
				t.Errorf("%s, seed %d: out for %v (up: %v), limit %v; %s", protection, seed, out, up, limit, w.Found)
			}
			worst = max(worst, out)
		}
		t.Logf("%s: %v at worst", protection, worst)
	}
}

// TestHandOverIsShort is the bound of a planned move, the hooks not counted: 20 ms. Here a message
// takes 5 ms at most and a kernel call half of one; a hand-over needs four and two of them in a row.
func TestHandOverIsShort(t *testing.T) {
	var worst time.Duration
	for seed := range uint64(timesSeeds) {
		w, holder := settled(t, seed, arbiter.ProtectFence)
		shots := w.audit.Shots
		if seed%2 == 0 {
			holder.process.stop()
		} else {
			to := w.nodes[(holder.index+1)%w.plan.Members]
			w.switchover(w.node("arb"), to, "g1")
		}
		out, up := w.unanswered(5 * time.Second)
		now := w.ledger.record.Groups["g1"].Holder.Node
		if !up || out == 0 || out > 21*time.Millisecond || now == holder.name || w.audit.Shots != shots || w.Found != "" {
			t.Errorf("seed %d: out for %v (up: %v), from %s to %s; %s", seed, out, up, holder.name, now, w.Found)
		}
		worst = max(worst, out)
	}
	t.Logf("%v at worst", worst)
}

// TestNoQuorumStopsAtTheDeadline is G6: a holder without a quorum stops at its lease's deadline less
// the margin, by its own clock: not at the first error, and not later.
func TestNoQuorumStopsAtTheDeadline(t *testing.T) {
	for seed := range uint64(timesSeeds) {
		w, holder := settled(t, seed, arbiter.ProtectFence)
		w.ledger.down = true
		w.runTo(w.now + 10*time.Millisecond) // answers under way arrive
		stop := holder.clock.When(w.audit.renewed[holder.bootID()] + w.plan.TTL - w.plan.Margin)
		w.runTo(stop - time.Millisecond)
		if !holder.answers("g1") {
			t.Errorf("seed %d: %s let go before its deadline", seed, holder.name)
		}
		w.runTo(stop + 2*time.Millisecond)
		for _, n := range w.nodes {
			if n.answers("g1") {
				t.Errorf("seed %d: %s answers after the deadline", seed, n.name)
			}
		}
		w.runTo(stop + 20*time.Second)
		if _, up := w.unanswered(time.Second); up {
			t.Errorf("seed %d: g1 is up without a quorum", seed)
		}
		if w.Found != "" {
			t.Errorf("seed %d: %s", seed, w.Found)
		}
	}
}

// TestKilledDaemonKeeps is a restart within the lease: no flap, and nobody is fenced.
func TestKilledDaemonKeeps(t *testing.T) {
	for seed := range uint64(timesSeeds) {
		w, holder := settled(t, seed, arbiter.ProtectFence)
		before := w.ledger.record.Groups["g1"]
		holder.kill("daemon killed")
		w.after(300*time.Millisecond, holder.start)
		out, up := w.unanswered(20 * time.Second)
		if g := w.ledger.record.Groups["g1"]; !up || out > 0 || g != before || w.audit.Shots > 0 || w.Found != "" {
			t.Errorf("seed %d: out for %v (up: %v), %+v became %+v; %s", seed, out, up, before, g, w.Found)
		}
	}
}

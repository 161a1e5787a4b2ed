package etcd

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter/arbitertest"
)

// faults are inflicted one after the other, while three nodes beat, read and propose. As long as a
// majority answers, no grant may run out.
func faults(t *testing.T, e *members) {
	ledgers := newCluster(t, e, longTTL, arbitertest.Nodes...)
	wait := func(d time.Duration) { pause(t.Context(), d) }
	began := time.Now()
	say := func(format string, args ...any) {
		t.Logf("%v: "+format, append([]any{time.Since(began).Round(time.Millisecond)}, args...)...)
	}
	arbitertest.Concurrent(t, asBackends(ledgers), arbitertest.Load{Seed: 3, TTL: longTTL, NotProposed: ErrNotProposed}, func() {
		wait(300 * time.Millisecond)
		e.t = t

		leader := e.leader()
		say("%s, the leader, is killed, and started again", leader.name)
		e.kill(leader)
		wait(1500 * time.Millisecond)
		e.start(leader)
		e.ready()

		leader = e.leader()
		say("%s, the leader, is stopped, and goes on", leader.name)
		e.signal(leader, syscall.SIGSTOP)
		wait(2 * time.Second)
		e.signal(leader, syscall.SIGCONT)
		e.ready()

		leader = e.leader()
		say("%s, the leader, is cut off from the others, not from its clients", leader.name)
		e.isolate(leader)
		wait(2 * time.Second)
		e.heal()
		e.ready()

		m := ledgers["a"].ends.pick()
		say("the connections of all nodes to %s, which node a prefers, are half open", m.url)
		for _, o := range e.members {
			if "http://"+o.clients.Address() == m.url {
				o.clients.Stall()
			}
		}
		wait(1500 * time.Millisecond)
		e.heal()

		say("every revision is compacted")
		compact(t, e)

		say("all members are restarted, one after the other")
		for _, o := range e.members {
			e.signal(o, syscall.SIGTERM)
			o.process.Wait()
			say("%s has ended", o.name)
			e.start(o)
			e.ready()
			say("%s is back", o.name)
		}
	})
	for _, n := range arbitertest.Nodes {
		if s := ledgers[n].Status(); s.WentBack {
			t.Errorf("%s: %s", n, s.Problem)
		}
	}
}

// compact forgets every revision but the newest.
func compact(t *testing.T, e *members) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c := e.client()
	got, err := c.Get(ctx, "x")
	if err != nil {
		t.Errorf("compact: %v", err)
		return
	}
	if _, err := c.Compact(ctx, got.Header.Revision); err != nil {
		t.Errorf("compact: %v", err)
	}
}

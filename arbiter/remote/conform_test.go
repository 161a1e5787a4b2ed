package remote_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter/arbitertest"
	"github.com/solevip/solevip/arbiter/remote"
)

// Each ledger of the suite is another cluster's at the same arbiters, so what one leaves behind
// would show in the next.
func TestRemoteArbitersPassTheSuite(t *testing.T) {
	q := newQuorum(t, guestTTL)
	clusters := 0
	arbitertest.Run(t, func(t *testing.T, nodes ...string) map[string]arbitertest.Ledger {
		clusters++
		out := map[string]arbitertest.Ledger{}
		for _, n := range nodes {
			o := q.options(fmt.Sprintf("cluster-%d", clusters), n)
			out[n] = open(t, o)
		}
		return out
	})
}

func TestRemoteArbitersUnderFaults(t *testing.T) {
	q := newQuorum(t, shortTTL)
	ledgers := map[string]arbitertest.Ledger{}
	wires := map[string]map[string]*arbitertest.Wire{}
	for _, n := range arbitertest.Nodes {
		o, w := q.wired(q.options("shop", n))
		ledgers[n], wires[n] = open(t, o), w
	}
	wait := func(d time.Duration) { <-time.After(d) }
	arbitertest.Concurrent(t, ledgers, arbitertest.Load{Seed: 5, TTL: guestTTL, NotProposed: remote.ErrNotProposed}, func() {
		wait(500 * time.Millisecond)

		leader := q.leader()
		t.Logf("%s, the leader, dies and comes back", leader)
		q.kill(leader)
		wait(1500 * time.Millisecond)
		q.start(leader)
		wait(time.Second)

		leader = q.leader()
		t.Logf("no node reaches %s, the leader: its connections stay open and carry nothing", leader)
		for _, n := range arbitertest.Nodes {
			wires[n][leader].Stall()
		}
		wait(1500 * time.Millisecond)
		for _, n := range arbitertest.Nodes {
			wires[n][leader].Heal()
		}
		wait(500 * time.Millisecond)
	})
}

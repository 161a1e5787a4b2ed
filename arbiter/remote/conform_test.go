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

// Each fault has a history of its own: what beats that were sent again may have done is much to judge.
func TestRemoteArbitersUnderFaults(t *testing.T) {
	q := newQuorum(t, shortTTL)
	wait := func(d time.Duration) { <-time.After(d) }
	for i, row := range []struct {
		name  string
		fault func(leader string, wires map[string]map[string]*arbitertest.Wire)
	}{
		{"the leader dies and comes back", func(leader string, _ map[string]map[string]*arbitertest.Wire) {
			q.kill(leader)
			wait(time.Second)
			q.start(leader)
		}},
		{"no node reaches the leader, and the connections stay open", func(leader string, wires map[string]map[string]*arbitertest.Wire) {
			for _, n := range arbitertest.Nodes {
				wires[n][leader].Stall()
			}
			wait(time.Second)
			for _, n := range arbitertest.Nodes {
				wires[n][leader].Heal()
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ledgers := map[string]arbitertest.Ledger{}
			wires := map[string]map[string]*arbitertest.Wire{}
			for _, n := range arbitertest.Nodes {
				o, w := q.wired(q.options(fmt.Sprintf("shop-%d", i), n))
				ledgers[n], wires[n] = open(t, o), w
			}
			load := arbitertest.Load{Seed: uint64(i + 5), TTL: guestTTL, NotProposed: remote.ErrNotProposed}
			arbitertest.Concurrent(t, ledgers, load, func() {
				wait(500 * time.Millisecond)
				row.fault(q.leader(), wires)
				wait(500 * time.Millisecond)
			})
		})
	}
}

package raftnode

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
)

// Nodes beat for ever, so the log must not grow for ever: with the thresholds that a node runs with,
// only smaller.
func TestTheLogStaysBoundedAndSurvivesARestart(t *testing.T) {
	const threshold, trailing = 64, 32
	virtual(t, func(t *testing.T, c *cluster) {
		c.startAll()
		for _, n := range c.nodes {
			c.until("a part in the ledger", 10*time.Second, func() bool { return n.currentRaft() != nil })
			rc := n.currentRaft().ReloadableConfig()
			rc.SnapshotThreshold, rc.TrailingLogs, rc.SnapshotInterval = threshold, trailing, time.Second
			if err := n.currentRaft().ReloadConfig(rc); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * snapshotEvery) // the new interval counts when the former has ended
		var last arbiter.Record
		for _, name := range []string{"a", "b", "c"} {
			last = c.propose(arbiter.Register{Boot: boot(name)})
		}
		const most = threshold + trailing + 40 // the beats of two snapshot intervals come on top
		for i := range 400 {
			last = c.propose(arbiter.Beat{Boot: boot("a")})
			time.Sleep(100 * time.Millisecond)
			for name, n := range c.nodes {
				first, err := n.store.bolt.FirstIndex()
				if err != nil {
					t.Fatal(err)
				}
				if kept := n.currentRaft().LastIndex() - first + 1; kept > most {
					t.Fatalf("after %d beats %s keeps %d entries", i, name, kept)
				}
			}
		}
		for name, n := range c.nodes {
			snaps, err := n.store.snaps.List()
			if err != nil || len(snaps) == 0 || len(snaps) > keepSnapshots {
				t.Errorf("%s has %d snapshots (%v)", name, len(snaps), err)
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			c.crash(name)
		}
		c.startAll()
		got := c.propose(arbiter.Beat{Boot: boot("a")})
		if want := last.Nodes["a"].Beat + 1; got.Nodes["a"].Beat != want {
			t.Errorf("after a restart of all the beat is %d, not %d", got.Nodes["a"].Beat, want)
		}
		if diff := cmp.Diff(last.Nodes["b"], got.Nodes["b"]); diff != "" {
			t.Error(diff)
		}
	})
}

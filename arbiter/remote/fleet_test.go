package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/remote"
)

func body(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A hundred clusters of two nodes beat through the same arbiters. Every beat is counted, and those
// of a tick share entries of the log.
func TestAFleetBeatsInBatches(t *testing.T) {
	const clusters, ticks = 100, 5
	q := newQuorum(t, guestTTL)
	var nodes []fleetNode
	for i := range clusters {
		for _, n := range []string{"db1", "db2"} {
			nodes = append(nodes, fleetNode{q.guest(fmt.Sprintf("fleet-%03d", i), n), n})
		}
	}
	each(nodes, func(n fleetNode) { propose(t, n.ledger, arbiter.Register{Boot: boot(n.name)}) })
	probe := q.guest("probe", "x")
	propose(t, probe, arbiter.Register{Boot: boot("x")})
	began := propose(t, probe, arbiter.Beat{Boot: boot("x")}).Index
	var mu sync.Mutex
	var took []time.Duration
	start := time.Now()
	for range ticks {
		each(nodes, func(n fleetNode) {
			at := time.Now()
			propose(t, n.ledger, arbiter.Beat{Boot: boot(n.name)})
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(at))
		})
	}
	spent := time.Since(start)
	entries := propose(t, probe, arbiter.Beat{Boot: boot("x")}).Index - began - 1
	slices.Sort(took)
	t.Logf("%d beats of %d nodes in %d entries of the log and %v; a beat took %v at the median, %v at the 99th percentile, %v at most",
		len(took), len(nodes), entries, spent.Round(time.Millisecond), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	if n := uint64(len(took)); entries > n/4 {
		t.Errorf("%d beats took %d entries", n, entries)
	}
	each(nodes, func(n fleetNode) {
		// A registration or a beat whose answer is late is sent again, and both are counted.
		if r := read(t, n.ledger); len(r.Nodes) != 2 || r.Nodes[n.name].Beat < ticks+1 {
			t.Errorf("%s: %+v, want 2 nodes with %d beats or more", n.name, r.Nodes, ticks+1)
		}
	})
	spaces := q.nodes[q.leader()].Spaces()
	if len(spaces) != clusters+1 || spaces[0].Cluster != "fleet-000" || len(spaces[0].Nodes) != 2 {
		t.Errorf("the arbiter tells %d clusters, first %+v", len(spaces), spaces[0])
	}
}

type fleetNode struct {
	ledger *remote.Ledger
	name   string
}

// each does something as every node at once.
func each(nodes []fleetNode, do func(fleetNode)) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { do(n) })
	}
	wg.Wait()
}

// A beat alone waits for company no longer than a few milliseconds.
func TestABeatAloneIsQuick(t *testing.T) {
	q := newQuorum(t, guestTTL)
	l := q.guest("shop", "db1")
	propose(t, l, arbiter.Register{Boot: boot("db1")})
	var took []time.Duration
	for range 50 {
		at := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := l.Propose(ctx, arbiter.Beat{Boot: boot("db1")}); err != nil {
			t.Fatal(err)
		}
		cancel()
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	t.Logf("median %v, at most %v", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 200*time.Millisecond {
		t.Errorf("the median is %v", median)
	}
}

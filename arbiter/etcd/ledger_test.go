package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
)

// clusters numbers the ledgers of the tests, so that each test has its own on shared servers.
var clusters atomic.Uint64

// shortTTL is for tests that wait for it, longTTL for those that inflict faults: servers that share a
// processor with everything else take their time to elect a leader.
const (
	shortTTL = time.Second
	longTTL  = 4 * time.Second
)

func testOptions(t *testing.T, e *members, ttl time.Duration, cluster, node string) Options {
	o := Options{Self: node, Cluster: cluster, Endpoints: e.endpoints(), Dir: t.TempDir(), TTL: ttl, Log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", node)
	}
	return o
}

// opened opens a ledger until the test ends, as one that the node has met before.
func opened(t *testing.T, o Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open as %s: %v", o.Self, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close %s: %v", o.Self, err)
		}
	})
	l.mu.Lock()
	l.met = time.Time{}
	l.mu.Unlock()
	return l
}

// newCluster opens a new ledger as each of the nodes.
func newCluster(t *testing.T, e *members, ttl time.Duration, nodes ...string) map[string]*Ledger {
	t.Helper()
	cluster := fmt.Sprintf("orders-%d", clusters.Add(1))
	out := map[string]*Ledger{}
	for _, n := range nodes {
		out[n] = opened(t, testOptions(t, e, ttl, cluster, n))
	}
	return out
}

func asBackends(ls map[string]*Ledger) map[string]arbitertest.Ledger {
	out := map[string]arbitertest.Ledger{}
	for n, l := range ls {
		out[n] = l
	}
	return out
}

// try proposes with a limit.
func try(l *Ledger, c arbiter.Command, limit time.Duration) (arbiter.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return l.Propose(ctx, c)
}

// must proposes, and fails the test unless it is carried out.
func must(t *testing.T, l *Ledger, c arbiter.Command) arbiter.Record {
	t.Helper()
	r, err := try(l, c, 10*time.Second)
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	return r
}

// eachServer runs a test on three servers of either version.
func eachServer(t *testing.T, test func(t *testing.T, e *members)) {
	for name, binary := range map[string]func(*testing.T) string{"Debian's etcd": debianEtcd, "current etcd": currentEtcd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, startEtcd(t, binary(t)))
		})
	}
}

func TestEtcd(t *testing.T) {
	eachServer(t, func(t *testing.T, e *members) {
		arbitertest.Run(t, func(t *testing.T, nodes ...string) map[string]arbitertest.Ledger {
			return asBackends(newCluster(t, e, longTTL, nodes...))
		})
		t.Run("faults", func(t *testing.T) { faults(t, e) })
	})
}

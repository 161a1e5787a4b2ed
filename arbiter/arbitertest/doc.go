// Package arbitertest is what every ledger must pass: the same commands give the same records
// through arbiter.Apply, through Raft and through etcd; watches show the newest and never go back;
// and what several nodes do at once, also while servers die and hang, could have happened one after
// the other (porcupine decides).
//
// It owns the suite, and the wires that tests of backends break. It starts no server: each backend's
// own tests hand it open ledgers, and inflict the faults.
package arbitertest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/solevip/solevip/arbiter"
)

// Ledger is a backend as one node sees it.
type Ledger interface {
	Propose(ctx context.Context, c arbiter.Command) (arbiter.Record, error)
	Read(ctx context.Context) (arbiter.Record, error)
	Watch(ctx context.Context) <-chan arbiter.Record
}

// Open makes a new, empty ledger and opens it as each of the nodes, until the test ends.
type Open func(t *testing.T, nodes ...string) map[string]Ledger

// Nodes are the nodes of the suite.
var Nodes = []string{"a", "b", "c"}

// Boot is the first boot of a node.
func Boot(node string) arbiter.Boot {
	return arbiter.Boot{Node: node, Kernel: "kernel-0-" + node, Incarnation: "incarnation-0-" + node}
}

// Diff compares two records but for their index, which is each backend's own.
func Diff(want, got arbiter.Record) string {
	want.Index, got.Index = 0, 0
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

package daemon_test

import (
	"context"
	"errors"
	"github.com/solevip/solevip/api"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/daemon"
)

// An arbiter has no kernel, no links and no devices: it beats, shows what the ledger says, and moves
// groups for an operator.
func TestArbiterShowsAndMovesAndHoldsNothing(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		ctx, stop := context.WithCancelCause(t.Context())
		d := mustNew(t, daemon.Options{
			Node: "arb", Arbiter: true, TTL: ttl, Margin: margin, Clock: c.clock,
			Boot:   arbiter.Boot{Node: "arb", Kernel: "boot-1", Incarnation: "i-arb"},
			Ledger: &replica{ledger: c.ledger, node: "arb", delay: 5 * time.Millisecond},
			Nodes:  []daemon.Node{{Name: "db1"}, {Name: "db2"}, {Name: "arb", Arbiter: true}},
			Groups: []daemon.Group{{Name: "db", Protection: arbiter.ProtectFence, Priority: priorities, Addresses: []string{"10.0.0.100/24"}}},
		})
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		c.held()
		s, err := d.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g := s.Groups[0]
		c.want("role, holder", g.Role+", "+g.Holder, "arbiter, db1")
		c.want("up", g.Up, false)
		c.want("exit code", s.ExitCode(), 0)
		_, err = d.FenceTest(t.Context(), api.FenceTestRequest{Node: "db1", Operator: "ann"})
		c.says(err, "arb only votes", "ask on a member")
		c.machine["arb"] = &machine{name: "arb", kernel: newKernel(c.tape, "arb", c.clock), running: &running{Daemon: d}}
		if a, err := c.switchover("arb", "db2"); err != nil || a.To != "db2" {
			t.Errorf("%v, %v", a, err)
		}
		stop(errors.New("terminated"))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

package daemon

import (
	"context"
	"fmt"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/fence"
)

// FenceTest asks a node's devices now for its power and whose it is, and records the latter. It
// never shoots.
func (d *Daemon) FenceTest(ctx context.Context, req api.FenceTestRequest) ([]api.DeviceCheck, error) {
	plan, err := d.planFor(req.Node)
	if err != nil {
		return nil, err
	}
	recorded, err := d.identities(ctx, req.Node)
	if err != nil {
		return nil, err
	}
	expected := recorded
	if req.Replaced {
		expected = nil
	}
	checks := fence.Check(ctx, plan, d.lookOnly(req.Node).WithIdentities(expected))
	if ctx.Err() == nil { // else the operator went away, and the devices did not fail
		d.noteChecks(req.Node, checks)
	}
	out := []api.DeviceCheck{}
	for _, h := range checks {
		c := api.DeviceCheck{
			Target: req.Node, Level: h.Level, Device: h.Device, Power: h.Power.String(), TookMS: h.Took.Milliseconds(), Identity: h.Identity,
		}
		if h.Err != nil {
			c.Error = h.Err.Error()
		} else if h.Identity != "" {
			c.Recorded, c.Error = d.identify(ctx, req, h, recorded[h.Device])
		}
		out = append(out, c)
	}
	return out, nil
}

// planFor is the plan of another node, or why there is none.
func (d *Daemon) planFor(node string) (*fence.Plan, error) {
	plan := d.o.Fencing[node]
	switch {
	case d.o.Arbiter:
		return nil, &api.Error{What: d.o.Node + " only votes and fences nobody", Hint: "ask on a member"}
	case node == d.o.Node:
		return nil, &api.Error{What: d.o.Node + " does not fence itself", Hint: "ask on another member"}
	case plan == nil:
		return nil, &api.Error{What: fmt.Sprintf("no fence device is configured for %q", node), Hint: "the file lists them under fencing, by node"}
	}
	return plan, nil
}

// identify has the ledger record what a device said, unless it has it already.
func (d *Daemon) identify(ctx context.Context, req api.FenceTestRequest, h fence.Health, was string) (what, problem string) {
	if was == h.Identity {
		return "as recorded", ""
	}
	if d.o.Ledger == nil {
		return "", ""
	}
	err := d.agree(ctx, arbiter.Identify{
		Node: d.o.Node, Target: req.Node, Device: h.Device, Identity: h.Identity, Was: was, Operator: req.Operator,
	})
	switch {
	case err != nil:
		return "not recorded", "its identity was not recorded: " + disagreement(err).Error()
	case was != "":
		return "recorded, instead of " + was, ""
	}
	return "recorded", ""
}

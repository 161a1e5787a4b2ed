package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/fence"
)

// FenceOff cuts a node's power on an operator's order: agreed first, so that one node shoots, once,
// and everybody can read who ordered it. It goes on when the operator leaves.
func (d *Daemon) FenceOff(ctx context.Context, req api.FenceOffRequest) (api.FenceOffAnswer, error) {
	plan, err := d.planFor(req.Node)
	switch {
	case err != nil:
		return api.FenceOffAnswer{}, err
	case d.o.Ledger == nil:
		return api.FenceOffAnswer{}, &api.Error{What: "no group of this cluster has a ledger, so an order can't be agreed", Hint: "use the device's own tool"}
	}
	order, err := d.order(ctx, req)
	if err != nil {
		return api.FenceOffAnswer{}, err
	}
	if err := d.agree(ctx, order); err != nil {
		return api.FenceOffAnswer{}, disagreement(err)
	}
	d.log.Warn("an operator orders a fence", "node", req.Node, "operator", req.Operator, "reason", req.Reason, "force", req.Force)
	began, done := time.Now(), make(chan fence.Result, 1)
	d.post(func(time.Duration) { // tasks start in the loop
		recorded := d.record.Identities(req.Node)
		d.task(func(ctx context.Context) { done <- d.carryOut(ctx, plan, order, recorded) })
	})
	select {
	case r := <-done:
		a := api.FenceOffAnswer{Node: req.Node, Outcome: r.Outcome.String(), Method: r.Method, Detail: r.Detail, TookMS: time.Since(began).Milliseconds()}
		if r.Err != nil {
			return a, &api.Error{What: fmt.Sprintf("%s is not proved off (%s): %v", req.Node, a.Outcome, r.Err), Hint: "see solevip fence status; if it is certainly off: solevip fence confirm " + req.Node}
		}
		return a, nil
	case <-ctx.Done():
		return api.FenceOffAnswer{}, context.Cause(ctx)
	case <-d.life.Done():
		return api.FenceOffAnswer{}, errStopped
	}
}

// order is the command for a request, or why not: a node that holds a group and is well is not shot
// by mistake.
func (d *Daemon) order(ctx context.Context, req api.FenceOffRequest) (arbiter.Order, error) {
	type answer struct {
		order arbiter.Order
		err   error
	}
	a, err := ask(ctx, d, func(now time.Duration) answer {
		n, known := d.record.Nodes[req.Node]
		well := now < d.pulses[req.Node].at+claim.Takeover(d.o.TTL, d.o.Margin)
		held := d.heldBy(n.Boot)
		switch {
		case !known:
			return answer{err: &api.Error{What: fmt.Sprintf("the ledger knows no node %q", req.Node), Hint: "see the names in solevip status"}}
		case well && !req.Force && len(held) > 0:
			return answer{err: &api.Error{
				What: fmt.Sprintf("%s holds %s and is well", req.Node, held[0]),
				Hint: "move what it holds away first: solevip switchover " + held[0] + "; or, to shoot it nevertheless, add --force",
			}}
		}
		c := arbiter.Order{
			Boot: d.o.Boot, Target: n.Boot, Seen: n.Beat, Force: req.Force, Operator: req.Operator, Reason: req.Reason,
		}
		if f, open := d.record.OpenFence(req.Node); open && now >= d.pulses[f.By.Node].at+claim.Takeover(d.o.TTL, d.o.Margin) {
			c.Rival = arbiter.Rival{Boot: f.By, Beat: d.record.Nodes[f.By.Node].Beat}
		}
		return answer{order: c}
	})
	if err == nil {
		err = a.err
	}
	return a.order, err
}

// heldBy names the groups that a boot holds.
func (d *Daemon) heldBy(b arbiter.Boot) []string {
	var out []string
	for name, g := range d.record.Groups {
		if g.Holder == b && !b.IsZero() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// carryOut shoots and tells the ledger what came of it. The right to shoot is the open order: it is
// read from the ledger, afresh, right before each irreversible command, so that a node which was cut
// off, or whose target came back with a new boot meanwhile, doesn't shoot.
func (d *Daemon) carryOut(ctx context.Context, plan *fence.Plan, o arbiter.Order, recorded map[string]string) fence.Result {
	shot := fence.Shot{Target: o.Target.Node, Boot: o.Target.String(), Node: d.o.Node}.WithIdentities(recorded)
	guard := func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, d.o.TTL, fmt.Errorf("the ledger did not answer within %v", d.o.TTL))
		defer cancel()
		r, err := d.o.Ledger.Read(ctx)
		if err != nil {
			return err
		}
		f, open := r.OpenFence(o.Target.Node)
		if !open || f.By != o.Boot || f.Target != o.Target || f.Group != "" || !r.Current(o.Boot) {
			return errors.New("the order is not open any more")
		}
		return nil
	}
	res := fence.Run(ctx, plan, shot, guard, d.o.Log.With("component", "fence"))
	var c arbiter.Command = arbiter.Report{Boot: o.Boot, Target: o.Target, Method: res.Method, Outcome: res.Outcome.String(), Detail: res.Detail}
	if res.Outcome == fence.Off {
		c = arbiter.Clear{Boot: o.Boot, Suspect: o.Target, Evidence: arbiter.PowerOffVerified, Method: res.Method, Detail: res.Detail}
	}
	d.conclude(ctx, c)
	return res
}

// conclude has the ledger agree or refuse, however long that takes: an order left open would keep
// others from fencing the node. (After a restart the registration closes it.)
func (d *Daemon) conclude(ctx context.Context, c arbiter.Command) {
	for {
		err := d.agree(ctx, c)
		if err == nil || arbiter.RefusedAs(err) != "" || ctx.Err() != nil {
			return
		}
		d.log.Warn("the outcome of a fence is not agreed yet", "command", c.String(), "error", err)
		select {
		case <-time.After(d.o.TTL):
		case <-ctx.Done():
		}
	}
}

// FenceUnfence lets a node that came back after a fence hold groups again.
func (d *Daemon) FenceUnfence(ctx context.Context, req api.UnfenceRequest) error {
	if d.o.Ledger == nil {
		return &api.Error{What: "no group of this cluster has a ledger: nobody is fenced"}
	}
	boot, err := ask(ctx, d, func(time.Duration) arbiter.Boot { return d.record.Nodes[req.Node].Boot })
	switch {
	case err != nil:
		return err
	case boot.IsZero():
		return &api.Error{What: fmt.Sprintf("the ledger knows no node %q", req.Node), Hint: "see the names in solevip status"}
	}
	if err := d.agree(ctx, arbiter.Unfence{Node: d.o.Node, Target: boot, Operator: req.Operator}); err != nil {
		return disagreement(err)
	}
	d.log.Warn("an operator lets a node hold groups again", "node", req.Node, "operator", req.Operator)
	return nil
}

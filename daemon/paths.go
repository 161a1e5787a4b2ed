package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/fence"
)

// pathHealth is the last check of a node's fence devices.
type pathHealth struct {
	ok   bool
	text string // why not
}

// checkPause is how often every fence device is asked for its node's power, so that a path which
// would fail is known before it is needed.
const checkPause = time.Minute

// checkPaths asks the fence devices of all other nodes, one node after the other. A member does:
// an arbiter never fences.
func (d *Daemon) checkPaths(ctx context.Context) {
	if d.o.Arbiter {
		return
	}
	tick := time.NewTicker(checkPause)
	defer tick.Stop()
	for {
		for _, n := range d.o.Nodes {
			plan := d.o.Fencing[n.Name]
			if plan == nil || n.Name == d.o.Node {
				continue
			}
			d.noteChecks(n.Name, fence.Check(ctx, plan, d.lookOnly(n.Name)))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lookOnly is the shot that a check names: nobody is fenced, no epoch is at stake.
func (d *Daemon) lookOnly(node string) fence.Shot { return fence.Shot{Target: node, Node: d.o.Node} }

// summary is healthy when all devices of some level are.
func summary(checks []fence.Health) pathHealth {
	bad := map[int]string{}
	for _, h := range checks {
		if _, seen := bad[h.Level]; !seen {
			bad[h.Level] = ""
		}
		if !h.Ready() && bad[h.Level] == "" {
			bad[h.Level] = fmt.Sprintf("%s: %v (power %v)", h.Device, h.Err, h.Power)
		}
	}
	out := pathHealth{}
	for _, text := range bad {
		if text == "" {
			return pathHealth{ok: true}
		}
		out.text = text
	}
	return out
}

// noteChecks keeps what a check found, unless a fence took the devices away from it: then the
// fence's own result says more.
func (d *Daemon) noteChecks(node string, checks []fence.Health) {
	if slices.ContainsFunc(checks, func(h fence.Health) bool { return errors.Is(h.Err, fence.ErrBusy) }) || d.life.Err() != nil {
		return
	}
	d.post(func(time.Duration) { d.notePath(node, summary(checks)) })
}

func (d *Daemon) notePath(node string, h pathHealth) {
	was, known := d.paths[node]
	d.paths[node] = h
	switch {
	case !h.ok && (!known || was.ok):
		d.log.Error("no fence path works", "node", node, "reason", h.text)
	case h.ok && known && !was.ok:
		d.log.Info("a fence path works again", "node", node)
	}
	if was != h || !known {
		d.changed()
	}
}

// pathOK is a node's last check; nil when there was none.
func (d *Daemon) pathOK(node string) *bool {
	if h, known := d.paths[node]; known {
		return &h.ok
	}
	return nil
}

// unprotected names the groups that could not be taken over from a peer, because its fence path
// is broken.
func (d *Daemon) unprotected() []string {
	var out []string
	for _, g := range d.groups {
		if g.o.Protection != arbiter.ProtectFence || !g.o.Member {
			continue
		}
		for _, n := range d.o.Nodes {
			_, member := g.o.Priority[n.Name]
			if h, known := d.paths[n.Name]; member && known && !h.ok {
				out = append(out, fmt.Sprintf("group %s is unprotected: no fence path to %s works (%s); mend it, then: solevip fence test %s",
					g.o.Name, n.Name, h.text, n.Name))
			}
		}
	}
	return out
}

// FenceTest asks a node's devices now; it never shoots.
func (d *Daemon) FenceTest(ctx context.Context, node string) ([]api.DeviceCheck, error) {
	plan := d.o.Fencing[node]
	switch {
	case d.o.Arbiter:
		return nil, &api.Error{What: d.o.Node + " only votes and fences nobody", Hint: "ask on a member"}
	case node == d.o.Node:
		return nil, &api.Error{What: d.o.Node + " does not fence itself", Hint: "ask on another member"}
	case plan == nil:
		return nil, &api.Error{What: fmt.Sprintf("no fence device is configured for %q", node), Hint: "the file lists them under fencing, by node"}
	}
	checks := fence.Check(ctx, plan, d.lookOnly(node))
	if ctx.Err() == nil { // else the operator went away, and the devices did not fail
		d.noteChecks(node, checks)
	}
	out := []api.DeviceCheck{}
	for _, h := range checks {
		c := api.DeviceCheck{Target: node, Level: h.Level, Device: h.Device, Power: h.Power.String(), TookMS: h.Took.Milliseconds()}
		if h.Err != nil {
			c.Error = h.Err.Error()
		}
		out = append(out, c)
	}
	return out, nil
}

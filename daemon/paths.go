package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/fence"
)

// path is the last check of a node's fence devices.
type path struct {
	pathHealth
	at     time.Duration
	checks []fence.Health
}

// pathHealth is what a check comes to.
type pathHealth struct {
	ok   bool
	text string // why not
}

// checkPause is how often, at least, every fence device is asked for its node's power, so that a path
// which would fail is known before it is needed.
const checkPause = time.Minute

// pauseOf is a node's own pause, up to a fifth shorter than [checkPause]: two nodes that started
// together don't go on to ask a BMC at the same instants, which many can't stand.
func pauseOf(node string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(node))
	return checkPause - checkPause/5*time.Duration(h.Sum32()%100)/100
}

// checkPaths asks the fence devices of all other nodes, one device after the other. A member does:
// an arbiter never fences.
func (d *Daemon) checkPaths(ctx context.Context) {
	if d.o.Arbiter {
		return
	}
	tick := time.NewTicker(pauseOf(d.o.Node))
	defer tick.Stop()
	for {
		for _, n := range d.o.Nodes {
			plan := d.o.Fencing[n.Name]
			if plan == nil || n.Name == d.o.Node {
				continue
			}
			recorded, err := d.identities(ctx, n.Name)
			if err != nil {
				return // the daemon ends
			}
			d.noteChecks(n.Name, fence.Check(ctx, plan, d.lookOnly(n.Name).WithIdentities(recorded)))
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

// identities are what the ledger has of a node's devices.
func (d *Daemon) identities(ctx context.Context, node string) (map[string]string, error) {
	return ask(ctx, d, func(time.Duration) map[string]string { return d.record.Identities(node) })
}

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
	d.post(func(now time.Duration) { d.notePath(node, path{summary(checks), now, checks}) })
}

func (d *Daemon) notePath(node string, h path) {
	was, known := d.paths[node]
	d.paths[node] = h
	switch {
	case !h.ok && (!known || was.ok):
		d.log.Error("no fence path works", "node", node, "reason", h.text)
	case h.ok && known && !was.ok:
		d.log.Info("a fence path works again", "node", node)
	}
	d.changed()
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
		for _, n := range d.o.Nodes {
			if why := d.unreachable(g, n.Name); why != "" {
				out = append(out, fmt.Sprintf("group %s is unprotected: %s", g.o.Name, why))
			}
		}
	}
	return out
}

// unreachable says why a group could not be taken over from a node, or "".
func (d *Daemon) unreachable(g *group, node string) string {
	_, member := g.o.Priority[node]
	h, known := d.paths[node]
	switch {
	case g.o.Protection != arbiter.ProtectFence || !g.o.Member || !member || node == d.o.Node:
		return ""
	case d.o.Fencing[node] == nil:
		return fmt.Sprintf("no fence device of %s is known here; name one under fencing.%s", node, node)
	case known && !h.ok:
		return fmt.Sprintf("no fence path to %s works (%s); mend it, then: solevip fence test %s", node, h.text, node)
	}
	return ""
}

// pathStatus is the last check of each of a node's devices.
func (d *Daemon) pathStatus(now time.Duration, node string) []api.FencePath {
	var out []api.FencePath
	h := d.paths[node]
	for _, c := range h.checks {
		p := api.FencePath{
			Level: c.Level, Device: c.Device, OK: c.Ready(), Power: c.Power.String(), Identity: c.Identity,
			Recorded: d.record.Devices[node][c.Device].Identity, CheckAgeMS: (now - h.at).Milliseconds(),
		}
		if c.Err != nil {
			p.Error = c.Err.Error()
		}
		out = append(out, p)
	}
	return out
}

// unidentified names the nodes with devices that know whose power they cut, and that nobody has
// looked at yet.
func (d *Daemon) unidentified() []string {
	var out []string
	for _, n := range d.o.Nodes {
		known := func(h fence.Health) bool {
			_, recorded := d.record.Devices[n.Name][h.Device]
			return h.Identity != "" && !recorded
		}
		if d.known && slices.ContainsFunc(d.paths[n.Name].checks, known) {
			out = append(out, fmt.Sprintf("nobody has checked that the fence devices of %s cut %s; do it once, on any other member: solevip fence test %s", n.Name, n.Name, n.Name))
		}
	}
	return out
}

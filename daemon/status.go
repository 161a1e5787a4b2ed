package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/vrrp"
)

// Status is the node's view, for [api.Handler].
func (d *Daemon) Status(ctx context.Context) (api.Status, error) {
	return ask(ctx, d, d.status)
}

func (d *Daemon) status(now time.Duration) api.Status {
	s := api.Status{
		Node: d.o.Node, Cluster: d.o.Cluster, Version: d.o.Version,
		Nodes: []api.Machine{}, Groups: []api.Group{}, Fences: []api.Fence{},
		Warnings: slices.Clone(d.o.Warnings),
	}
	if d.o.Ledger != nil {
		l := d.o.Ledger.Status()
		s.Leader, s.Quorum = l.Leader, l.Quorum
		if l.Problem != "" {
			s.Warnings = append(s.Warnings, l.Problem)
		}
		s.Warnings = append(s.Warnings, l.Warnings...)
	}
	if h, ok := d.o.Ledger.(Host); ok {
		s.Served = h.Served()
	}
	for _, a := range d.alarms {
		if now < a.at+alarmTime {
			s.Warnings = append(s.Warnings, a.text)
		}
	}
	if d.ended != "" {
		s.Warnings = append(s.Warnings, d.ended)
	}
	if m := d.maintenance(now); m != nil {
		s.Maintenance = m
		s.Warnings = append(s.Warnings, fmt.Sprintf("maintenance by %s (%s): nobody is fenced, and nothing that needs a fence is taken over", m.Operator, m.Reason))
	}
	s.Warnings = append(s.Warnings, d.unprotected()...)
	s.Warnings = append(s.Warnings, d.unidentified()...)
	for _, n := range d.o.Nodes {
		if d.record.Nodes[n.Name].Barred {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s was fenced and came back; it holds nothing until: solevip fence unfence %s", n.Name, n.Name))
		}
	}
	s.Warnings = append(s.Warnings, d.unheard(now)...)
	s.Warnings = append(s.Warnings, d.otherFiles()...)
	for _, n := range d.o.Nodes {
		s.Nodes = append(s.Nodes, d.machineStatus(now, n))
	}
	for _, g := range d.groups {
		s.Groups = append(s.Groups, d.groupStatus(now, g))
	}
	for _, f := range slices.Backward(d.record.Fences) {
		s.Fences = append(s.Fences, fenceStatus(f))
	}
	return s
}

// unheard says why nothing moves though VRRP is silent: its word is a hint, and the ledger shows that the holder is well.
func (d *Daemon) unheard(now time.Duration) []string {
	var out []string
	for _, g := range d.groups {
		v := g.machine.View()
		holder := v.Group.Holder.Node
		p, known := d.pulses[holder]
		if !g.protected() || !g.o.Member || holder == d.o.Node || !known || now-p.at >= d.o.TTL {
			continue
		}
		for _, r := range g.routers {
			if r.fsm.State() == vrrp.Waiting {
				out = append(out, fmt.Sprintf("group %s stays where it is: %s renews, but its VRRP adverts are not heard here (%s); let IP protocol 112 through",
					g.o.Name, holder, r.fsm.Why()))
			}
		}
	}
	return out
}

func (d *Daemon) machineStatus(now time.Duration, n Node) api.Machine {
	m := api.Machine{Name: n.Name, Role: "member", BeatAgeMS: -1, FencePathOK: d.pathOK(n.Name), FencePaths: d.pathStatus(now, n.Name)}
	if n.Arbiter {
		m.Role = "arbiter"
	}
	m.Voter = d.health.votes(n.Name)
	if p, ok := d.pulses[n.Name]; ok {
		m.BeatAgeMS, m.Fenced = (now - p.at).Milliseconds(), p.node.Fenced
		m.Barred = p.node.Barred
		m.Boot = p.node.Boot.Kernel + "/" + p.node.Boot.Incarnation
	}
	return m
}

func (d *Daemon) groupStatus(now time.Duration, g *group) api.Group {
	s := api.Group{Name: g.o.Name, Protection: string(g.o.Protection), Addresses: g.o.Addresses}
	s.Checks = g.checkStatus()
	ledger := d.record.Groups[g.o.Name]
	v := g.machine.View()
	switch {
	case !g.o.Member:
		s.Role, s.Reason = "backup", "this node may not hold the group"
		if d.o.Arbiter {
			s.Role, s.Reason = "arbiter", "this node only votes"
		}
	case g.protected():
		s.Role, s.Reason, s.Up = string(v.Role), v.Reason, v.Up
		ledger = v.Group
	default:
		s.Role, s.Reason, s.Up = string(v.Role), v.Reason, v.Up
		ledger = v.Group
		if v.Role != claim.Holder && g.active != "" {
			s.Holder = g.active
		}
	}
	if g.unfit != "" && v.Role == claim.Backup {
		s.Role, s.Reason = string(claim.Fault), g.unfit
	}
	if !ledger.Holder.IsZero() {
		s.Holder = ledger.Holder.Node
	}
	s.Epoch, s.Suspect, s.Next = ledger.Epoch, ledger.Suspect.Node, ledger.Next
	for _, n := range d.o.Nodes {
		if why := d.unreachable(g, n.Name); why != "" {
			s.Unprotected = append(s.Unprotected, why)
		}
	}
	s.Evidence, s.Previous = string(ledger.Evidence), ledger.Previous
	if v.Deadline > now {
		s.DeadlineMS = (v.Deadline - now).Milliseconds()
	}
	return s
}

func fenceStatus(f arbiter.Fence) api.Fence {
	return api.Fence{
		Target: f.Target.Node, Boot: f.Target.Kernel, By: f.By.Node, Group: f.Group, Epoch: f.Epoch, Method: f.Method,
		Outcome: f.Outcome, Evidence: string(f.Evidence), Detail: f.Detail, Operator: f.Operator, Reason: f.Reason,
		State: string(f.State), At: time.UnixMilli(f.At).UTC().Format(time.RFC3339Nano),
	}
}

// changed tells the watchers, in the loop.
func (d *Daemon) changed() {
	for w := range d.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// Watch hands each a status now and whenever something but an age or a deadline changed, until ctx
// or the daemon ends, or each fails.
func (d *Daemon) Watch(ctx context.Context, each func(api.Status) error) error {
	poke := make(chan struct{}, 1)
	defer d.post(func(time.Duration) { delete(d.watchers, poke) })
	s, err := ask(ctx, d, func(now time.Duration) api.Status {
		d.watchers[poke] = true
		return d.status(now)
	})
	for last := ""; err == nil; s, err = d.Status(ctx) {
		if key := substance(s); key != last {
			last = key
			if err := each(s); err != nil {
				return err
			}
		}
		select {
		case <-poke:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.life.Done():
			return errStopped
		}
	}
	return err
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// switchoverTime is how long a switchover may take besides the hooks.
const switchoverTime = 15 * time.Second

// Switchover asks for a planned move and waits until the new node holds the group.
func (d *Daemon) Switchover(ctx context.Context, req api.SwitchoverRequest) (api.SwitchoverAnswer, error) {
	type plan struct {
		from  arbiter.Group
		to    string
		limit time.Duration
		err   error
	}
	p, err := ask(ctx, d, func(now time.Duration) plan {
		g := d.byName[req.Group]
		if g == nil {
			return plan{err: &api.Error{What: fmt.Sprintf("no group is called %q", req.Group), Hint: "see solevip status"}}
		}
		from, to, err := d.target(now, g, req.To)
		return plan{from, to, switchoverTime + g.o.Promote.Timeout + g.o.Demote.Timeout, err}
	})
	if err == nil {
		err = p.err
	}
	if err != nil {
		return api.SwitchoverAnswer{}, err
	}
	began := time.Now()
	move := arbiter.Move{Node: d.o.Node, Group: req.Group, Epoch: p.from.Epoch, To: p.to}
	if err := d.agree(ctx, move); err != nil {
		if arbiter.RefusedAs(err) == "" { // it may yet be agreed
			d.takeBack(req.Group, p.from.Epoch)
		}
		return api.SwitchoverAnswer{}, disagreement(err)
	}
	g, err := d.waitMoved(ctx, req.Group, p.from.Epoch, p.limit)
	if err != nil {
		d.takeBack(req.Group, p.from.Epoch)
		return api.SwitchoverAnswer{}, &api.Error{
			What: fmt.Sprintf("the switchover of %s to %s was not done: %v", req.Group, p.to, err),
			Hint: "see the reasons in solevip status on both nodes; the request is being taken back",
		}
	}
	answer := api.SwitchoverAnswer{
		Group: req.Group, From: p.from.Holder.Node, To: g.Holder.Node, Epoch: g.Epoch, TookMS: time.Since(began).Milliseconds(),
	}
	if g.Holder.Node != p.to {
		return answer, &api.Error{What: fmt.Sprintf("%s did not take %s; %s holds it", p.to, req.Group, g.Holder.Node), Hint: "its log says why: a failed promote hook, most likely"}
	}
	return answer, nil
}

// agree proposes an operator's command, and waits no longer than a lease lasts.
func (d *Daemon) agree(ctx context.Context, c arbiter.Command) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.o.TTL, fmt.Errorf("the ledger did not answer within %v", d.o.TTL))
	defer cancel()
	stop := context.AfterFunc(d.life, cancel)
	defer stop()
	r, err := d.o.Ledger.Propose(ctx, stamp(c))
	if err == nil {
		d.post(func(time.Duration) { d.learn(r) })
	}
	return err
}

// disagreement is a command's failure for an operator. What was not refused may have been agreed.
func disagreement(err error) error {
	if refused, ok := errors.AsType[*arbiter.Refusal](err); ok {
		return &api.Error{What: "the ledger refused: " + refused.Detail, Hint: "look again with solevip status"}
	}
	return &api.Error{
		What: fmt.Sprintf("the ledger gave no answer, so the outcome is unknown: %v", err),
		Hint: "solevip status shows what came of it; without a quorum nothing can be agreed",
	}
}

// target is the node that a switchover goes to: the named one, or the fittest other member.
func (d *Daemon) target(now time.Duration, g *group, to string) (arbiter.Group, string, error) {
	from := d.record.Groups[g.o.Name]
	takeover := claim.Takeover(d.o.TTL, d.o.Margin)
	alive := func(name string) bool {
		p, ok := d.pulses[name]
		return ok && !p.node.Fenced && now < p.at+takeover
	}
	switch {
	case g.o.Protection == arbiter.ProtectVRRP:
		return from, "", &api.Error{What: fmt.Sprintf("group %s has no ledger (protection: vrrp)", g.o.Name), Hint: "lower the active router's priority, or stop its daemon"}
	case from.Holder.IsZero() || !from.Suspect.IsZero():
		return from, "", &api.Error{What: fmt.Sprintf("group %s is not held, so it can't be moved", g.o.Name), Hint: "see the reason in solevip status " + g.o.Name}
	}
	if to == "" {
		best := -1
		for _, n := range d.o.Nodes {
			if p, member := g.o.Priority[n.Name]; member && n.Name != from.Holder.Node && alive(n.Name) && int(p) > best {
				to, best = n.Name, int(p)
			}
		}
		if to == "" {
			return from, "", &api.Error{What: fmt.Sprintf("no other member of group %s is alive", g.o.Name), Hint: "see solevip status"}
		}
		return from, to, nil
	}
	switch _, member := g.o.Priority[to]; {
	case !member:
		return from, "", &api.Error{What: fmt.Sprintf("%q is not a member of group %s", to, g.o.Name), Hint: "the file lists the members"}
	case to == from.Holder.Node:
		return from, "", &api.Error{What: fmt.Sprintf("%s holds group %s already", to, g.o.Name)}
	case !alive(to):
		return from, "", &api.Error{What: fmt.Sprintf("%s does not beat", to), Hint: "start its daemon first; see solevip status"}
	}
	return from, to, nil
}

// waitMoved waits until a newer epoch is held and cleared.
func (d *Daemon) waitMoved(ctx context.Context, group string, epoch uint64, limit time.Duration) (arbiter.Group, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	// It waits for the holder to finish its hooks and the new node to take the group, so a short
	// pause between looks costs nothing that a person would notice.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		g, err := ask(ctx, d, func(time.Duration) arbiter.Group { return d.record.Groups[group] })
		if err != nil {
			return g, err
		}
		if g.Epoch > epoch && !g.Holder.IsZero() && g.Suspect.IsZero() {
			return g, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return g, context.Cause(ctx)
		}
	}
}

// takeBack withdraws a move that did not happen, so that it doesn't happen later by surprise. It
// goes on when the operator has gone.
func (d *Daemon) takeBack(group string, epoch uint64) {
	back := arbiter.Move{Node: d.o.Node, Group: group, Epoch: epoch}
	d.post(func(time.Duration) { // tasks start in the loop
		d.task(func(ctx context.Context) {
			if err := d.agree(ctx, back); err != nil && arbiter.RefusedAs(err) == "" {
				d.log.Warn("the switchover's request could not be taken back", "group", group, "error", err)
			}
		})
	})
}

// FenceConfirm records an operator's word that a node is dead, after asking whether anything says
// otherwise.
func (d *Daemon) FenceConfirm(ctx context.Context, req api.ConfirmRequest) error {
	if d.o.Ledger == nil {
		return &api.Error{What: "no group of this cluster has a ledger: there is nothing to confirm"}
	}
	target, sight, err := d.looksDead(ctx, req.Node)
	if err != nil {
		return err
	}
	if d.o.Reachable != nil && d.o.Reachable(ctx, req.Node) {
		return alive(req.Node, "its machine answers at the cluster port")
	}
	err = d.agree(ctx, arbiter.Attest{
		Node: d.o.Node, Target: target, Seen: sight, Operator: req.Operator, Reason: req.Reason,
	})
	if err != nil {
		return disagreement(err)
	}
	d.log.Warn("an operator attested that a boot is dead", "node", req.Node, "boot", target.String(), "operator", req.Operator, "reason", req.Reason)
	return nil
}

// looksDead finds the boot that is meant, and refuses when it gave a sign of life.
func (d *Daemon) looksDead(ctx context.Context, node string) (arbiter.Boot, uint64, error) {
	type answer struct {
		boot arbiter.Boot
		beat uint64
		err  error
	}
	a, err := ask(ctx, d, func(now time.Duration) answer {
		n, known := d.record.Nodes[node]
		p := d.pulses[node]
		takeover := claim.Takeover(d.o.TTL, d.o.Margin)
		switch {
		case !known:
			return answer{err: &api.Error{What: fmt.Sprintf("the ledger knows no node %q", node), Hint: "see the names in solevip status"}}
		case now < p.at+takeover:
			return answer{err: alive(node, fmt.Sprintf("its beat was seen %d ms ago; %v of silence are needed", (now-p.at).Milliseconds(), takeover))}
		}
		if sign := d.advertOf(now, node); sign != "" {
			return answer{err: alive(node, sign)}
		}
		return answer{boot: d.suspectOf(node, n.Boot), beat: n.Beat}
	})
	if err == nil {
		err = a.err
	}
	return a.boot, a.beat, err
}

// advertOf tells of an advert heard lately that a node sent, or may have sent: where it is a group's
// holder or suspect, one for that group from an address that no other node is known by.
func (d *Daemon) advertOf(now time.Duration, node string) string {
	for _, g := range d.groups {
		in := d.record.Groups[g.o.Name]
		involved := in.Holder.Node == node || in.Suspect.Node == node
		for _, r := range g.routers {
			h, at, ok := r.fsm.Last()
			if !ok || now >= at+claim.Takeover(d.o.TTL, d.o.Margin) {
				continue
			}
			ago := fmt.Sprintf("was heard from %v %d ms ago", h.From, (now - at).Milliseconds())
			switch name := d.nameOf(h); {
			case name == node:
				return fmt.Sprintf("its advert for %s %s", g.o.Name, ago)
			case involved && name == h.From.String():
				return fmt.Sprintf("an advert for %s, which it had, %s: find out who sends them, and stop it", g.o.Name, ago)
			}
		}
	}
	return ""
}

// suspectOf is the boot of a node that somebody waits for, or else its newest.
func (d *Daemon) suspectOf(node string, newest arbiter.Boot) arbiter.Boot {
	for _, g := range d.record.Groups {
		if g.Suspect.Node == node {
			return g.Suspect
		}
	}
	return newest
}

func alive(node, sign string) error {
	return &api.Error{
		What: fmt.Sprintf("%s shows signs of life: %s", node, sign),
		Hint: "cut its power first; confirming a living node dead is how two nodes come to write one database",
	}
}

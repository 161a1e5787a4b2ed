package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// A guest is a node of another cluster that has its ledger here. Its certificate says which
// cluster, and that is the one space that it can propose to, read and watch: no request names one.
// A node that doesn't lead asks the leader on a guest's behalf; the nodes trust each other's word for
// who the guest is, as they do with their votes.

// askFor is the body of a request on a guest's behalf.
type askFor struct {
	Space   string `json:"space"`
	Guest   string `json:"guest"` // its node
	Command []byte `json:"command,omitempty"`
}

// Requests from one node of the cluster to the leader.
const (
	askProposeFor = "propose-for"
	askReadFor    = "read-for"
)

// judgeGuest says why a guest's greeting is refused.
func (p *port) judgeGuest(g wire.Greeting, who caller, proved error) error {
	ledger, _ := p.identity()
	switch {
	case p.opt.TLS == nil:
		return fmt.Errorf("%s runs without TLS, and so can't tell clusters apart: nodes of other clusters are not served", p.opt.Self)
	case proved != nil:
		return proved
	case g.Version != wire.Version:
		return fmt.Errorf("%s speaks version %d of the wire format, and not %d: run releases that do", p.opt.Self, wire.Version, g.Version)
	case g.Cluster != who.space || g.From != who.node:
		return fmt.Errorf("the certificate is for node %q of cluster %q, not for %q of %q", who.node, who.space, g.From, g.Cluster)
	case g.Ledger != "" && ledger != "" && g.Ledger != ledger:
		return fmt.Errorf("%s is part of ledger %s, not of %s, where node %s of cluster %s has been: the arbiters were made anew, or these are others", p.opt.Self, ledger, g.Ledger, g.From, g.Cluster)
	}
	return nil
}

// handleGuest answers what guests may ask.
func (a *asker) handleGuest(ctx context.Context, req wire.Request) (any, error) {
	n := a.node
	ask := askFor{Space: a.space, Guest: a.peer}
	switch req.Ask {
	case wire.AskPropose:
		var p wire.Proposal
		if err := json.Unmarshal(req.Body, &p); err != nil {
			return nil, denied("%v", err)
		}
		ask.Command = p.Command
		return n.proposeFor(ctx, ask)
	case wire.AskRead:
		return n.readFor(ctx, ask)
	}
	return nil, denied("%s doesn't answer request %q of other clusters' nodes", n.opt.Self, req.Ask)
}

// handleFor answers what a fellow node asks on a guest's behalf. Only a leader does, so that no
// request goes in circles.
func (n *Node) handleFor(ctx context.Context, req wire.Request) (any, error) {
	var ask askFor
	if err := json.Unmarshal(req.Body, &ask); err != nil || ask.Space == own {
		return nil, denied("request %q on behalf of no cluster: %v", req.Ask, err)
	}
	if r := n.currentRaft(); r == nil || r.State() != raft.Leader {
		return nil, nothing("%s doesn't lead", n.opt.Self)
	}
	if req.Ask == askReadFor {
		return n.readFor(ctx, ask)
	}
	return n.proposeFor(ctx, ask)
}

// proposeFor has a guest's command agreed in its space. The command must act in the guest's name.
func (n *Node) proposeFor(ctx context.Context, ask askFor) (any, error) {
	cmd, err := arbiter.Decode(ask.Command)
	if err != nil {
		return nil, denied("%v", err)
	}
	if cmd.Actor() != ask.Guest {
		n.log.Warn("ledger proposal denied", "cluster", ask.Space, "peer", ask.Guest, "command", cmd.String())
		return nil, denied("%v: proposed by %s: %v", cmd, ask.Guest, ErrNotYou)
	}
	if to, other := n.leaderElsewhere(); other {
		return n.passOn(ctx, to, askProposeFor, ask)
	}
	it := item{Space: ask.Space, Command: ask.Command}
	if _, beat := cmd.(arbiter.Beat); !beat {
		out, err := n.agree(ctx, []item{it})
		if err != nil {
			return nil, err
		}
		return n.encoded.answer(ask.Space, out[0].Agreed, out[0].err)
	}
	out, err := n.beats.add(ctx, it)
	return n.encoded.answer(ask.Space, out.Agreed, errors.Join(err, out.err))
}

// readFor reads a guest's space.
func (n *Node) readFor(ctx context.Context, ask askFor) (any, error) {
	if to, other := n.leaderElsewhere(); other {
		return n.passOn(ctx, to, askReadFor, ask)
	}
	a, err := n.read(ctx, ask.Space)
	return n.encoded.answer(ask.Space, a, err)
}

// leaderElsewhere is the other node that leads, if this one knows of one.
func (n *Node) leaderElsewhere() (string, bool) {
	if r := n.currentRaft(); r != nil && r.State() == raft.Leader {
		return "", false
	}
	leader, _ := n.leader.get()
	return leader, leader != "" && leader != n.opt.Self
}

// passOn asks the leader. An answer that was lost on the way leaves the outcome unknown, and one that
// wasn't asked for leaves it nothing; the leader's word is passed on as it is.
func (n *Node) passOn(ctx context.Context, leader, what string, ask askFor) (any, error) {
	var answer json.RawMessage
	err := n.links[leader].Call(ctx, what, ask, &answer)
	if err == nil {
		return answer, nil
	}
	if errors.Is(err, wire.ErrUnsent) {
		return nil, nothing("%v", err)
	}
	return nil, err
}

// shine tells a guest who leads and, from here, its newest record: at once when this node leads, and
// otherwise now and then, for a guest that the leader doesn't reach.
func (a *asker) shine(ctx context.Context, id uint64) error {
	n := a.node
	records, end := n.fsm.feed(a.space).Watch()
	defer end()
	tick := time.NewTicker(n.timing.Heartbeat / 3)
	defer tick.Stop()
	var newest arbiter.Record
	told := uint64(0)
	for due := true; ; {
		b, reign := n.beacon()
		if (due || b.Leads) && newest.Index > told {
			raw, err := n.encoded.record(a.space, newest)
			if err != nil {
				return err
			}
			b.Record, told = raw, newest.Index
		}
		if due || b.Record != nil {
			if err := a.send(wire.Reply{ID: id, More: true}, b); err != nil {
				return err
			}
		}
		due = false
		select {
		case r, on := <-records:
			if !on {
				return nothing("%s is closing", n.opt.Self)
			}
			newest = r
		case <-tick.C:
			due = true
		case <-reign.Done():
			due = true
		case <-ctx.Done():
			return nothing("%s ends the stream", n.opt.Self)
		}
	}
}

// beacon is what guests are told of this node, and a context that ends when the leader changes.
func (n *Node) beacon() (wire.Beacon, context.Context) {
	leader, reign := n.leader.get()
	ledger, server := n.identity()
	b := wire.Beacon{Ledger: ledger, Leader: leader}
	if r := n.currentRaft(); r != nil && server != "" {
		term := r.CurrentTerm()
		b.Leads = r.State() == raft.Leader && r.CurrentTerm() == term
		b.Term = term
	}
	return b, reign
}

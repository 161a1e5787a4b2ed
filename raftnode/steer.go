package raftnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/raftnode/wire"
)

// Where leadership is best: a holder's crash should cost a lease but no election on top. So a
// leader hands over to a node of lower rank, if that one is healthy and has the log. It takes its
// time, and more each time, so that leadership never circles. A leader with a slow disk delays every
// lease of the cluster, so it hands over at once, to whoever has a faster one.
const (
	rankArbiter = iota // never holds
	rankIdle           // a member that holds nothing now
	rankHolder
)

const (
	steerFirst = 2 * time.Second
	steerMost  = 5 * time.Minute
	steerLag   = 64 // entries that the next leader may lack
)

// ErrNotLeader says that only the leader can hand leadership over.
var ErrNotLeader = errors.New("this node doesn't lead")

// rank says how well leadership sits on a node.
func (n *Node) rank(node string) int {
	if n.opt.peer(node).Arbiter {
		return rankArbiter
	}
	for _, g := range n.fsm.current().Groups {
		if g.Holder.Node == node {
			return rankHolder
		}
	}
	return rankIdle
}

// steer hands leadership over where that is better, until the node closes.
func (n *Node) steer(ctx context.Context) {
	hb := n.timing.Heartbeat
	wait, led := steerFirst, false
	var notBefore, last time.Time
	for ctx.Err() == nil {
		pause(ctx, nil, hb+rand.N(hb/2))
		r := n.currentRaft()
		leads := r != nil && r.State() == raft.Leader
		settled := leads && led // for a whole round
		led = leads
		now := time.Now()
		if leads && n.guard.wasSlow() {
			n.yield(ctx, r)
			continue
		}
		if !settled || now.Before(notBefore) {
			continue
		}
		to := n.better(ctx, r)
		if to == "" {
			continue
		}
		if now.Sub(last) > 2*steerMost {
			wait = steerFirst
		}
		last, notBefore = now, now.Add(wait+rand.N(wait/2))
		wait = min(2*wait, steerMost)
		err := n.TransferLeadership(ctx, to)
		n.log.Info("leadership handed over", "to", to, "reason", "a holder's crash should cost no election", "err", err)
	}
}

// yield hands leadership over because of this node's disk. With nobody better it leads on: a slow
// ledger is better than an election that brings nothing.
func (n *Node) yield(ctx context.Context, r *raft.Raft) {
	names := n.opt.others()
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(n.rank(a), n.rank(b)) })
	for _, name := range names {
		if slow, err := n.fit(ctx, r, name); slow || err != nil {
			continue
		}
		err := n.TransferLeadership(ctx, name)
		n.log.Warn("leadership handed over", "to", name, "reason", fmt.Sprintf("this node's disk took longer than %v for a write, which delays every lease", n.timing.Slow), "err", err)
		return
	}
	if n.said.ok("slow disk") {
		n.log.Warn("this node's disk delays every lease, and no other node can lead", "slower_than", n.timing.Slow)
	}
}

// better is a healthy voter on which leadership sits better than on this node, or "".
func (n *Node) better(ctx context.Context, r *raft.Raft) string {
	mine := n.rank(n.opt.Self)
	if mine == rankArbiter {
		return ""
	}
	names := slices.DeleteFunc(n.opt.others(), func(p string) bool { return n.rank(p) >= mine })
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(n.rank(a), n.rank(b)) })
	for _, name := range names {
		if slow, err := n.fit(ctx, r, name); !slow && err == nil {
			return name
		}
	}
	return ""
}

// fit says why a node can't lead next: it must answer, follow this node, vote, and have the log. With
// a slow disk it can, but shouldn't.
func (n *Node) fit(ctx context.Context, r *raft.Raft, name string) (slow bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Heartbeat/2)
	defer cancel()
	l, ok := n.links[name]
	if !ok {
		return false, fmt.Errorf("%q is no other node of this cluster", name)
	}
	var i introduction
	if err := l.Call(ctx, wire.AskHello, nil, &i); err != nil {
		return false, err
	}
	voter := slices.ContainsFunc(r.GetConfiguration().Configuration().Servers, func(s raft.Server) bool {
		return string(s.ID) == i.ID && s.Suffrage == raft.Voter
	})
	switch {
	case !voter:
		return false, fmt.Errorf("%s doesn't vote", i.ID)
	case i.Leader != n.opt.Self:
		return false, fmt.Errorf("%s doesn't follow this node", name)
	case i.Last+steerLag < r.LastIndex():
		return false, fmt.Errorf("%s has the log up to %d of %d", name, i.Last, r.LastIndex())
	}
	return i.Slow, nil
}

// TransferLeadership hands leadership to another node, when this one leads and that one is fit.
func (n *Node) TransferLeadership(ctx context.Context, to string) error {
	r := n.currentRaft()
	if r == nil || r.State() != raft.Leader {
		return fmt.Errorf("transfer leadership to %s: %w", to, ErrNotLeader)
	}
	if _, err := n.fit(ctx, r, to); err != nil {
		return fmt.Errorf("transfer leadership to %s: %w", to, err)
	}
	for _, s := range r.GetConfiguration().Configuration().Servers {
		if nodeOf(s.ID) != to || s.Suffrage != raft.Voter {
			continue
		}
		if err := await(r.LeadershipTransferToServer(s.ID, s.Address), 2*n.timing.Heartbeat, ctx.Done()); err != nil {
			return fmt.Errorf("transfer leadership to %s: %w", to, err)
		}
		return nil
	}
	return fmt.Errorf("transfer leadership to %s: it doesn't vote", to)
}

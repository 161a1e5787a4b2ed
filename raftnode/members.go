package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/raftnode/wire"
)

// Who votes, and who says so.
//
// The file says who the nodes are and where; Raft's configuration says whose votes count. They meet
// once by themselves, when the ledger is formed. From then on only an operator changes who votes: a
// node that was put into the file waits until it is added, and one that was taken out of it votes
// until it is removed. A node that lost its disk is the exception (readmit.go): it was a voter.
//
// To take a node's vote away says nothing about what it holds: in the ledger a group stays its, and
// it stays a suspect, until there is evidence.

// ErrDenied says that a change of membership was refused: the reason is in the error, and asking
// again brings nothing until that has changed.
var ErrDenied = errors.New("refused")

// Membership is who votes after a change.
type Membership struct {
	Voters  []string // node names
	Changed bool     // false: it was so already
}

// The changes of membership.
const (
	addNode    = "add"
	removeNode = "remove"
)

// change is the body of a member request.
type change struct {
	Do   string `json:"do"`
	Node string `json:"node"`
}

// changed is its answer. A change that isn't Done yet is asked for again: each request makes one
// step at most, so a new leader goes on where the old one was.
type changed struct {
	Done    bool     `json:"done"`
	Changed bool     `json:"changed"`
	Voters  []string `json:"voters"`
}

// AddNode gives a node of the file a vote: first its disk becomes a server without one, and when
// that has caught up, it votes. It returns when the node votes; a node that votes is no error.
// When ctx ends before, the node goes on catching up, and still gets its vote.
func (n *Node) AddNode(ctx context.Context, name string) (Membership, error) {
	return n.askChange(ctx, change{Do: addNode, Node: name})
}

// RemoveNode takes a node's vote away, if the others go on having a quorum. A node that has none
// is no error. What the node holds in the ledger stays as it is.
func (n *Node) RemoveNode(ctx context.Context, name string) (Membership, error) {
	return n.askChange(ctx, change{Do: removeNode, Node: name})
}

// askChange asks whichever node leads until it is done or denied.
func (n *Node) askChange(ctx context.Context, c change) (Membership, error) {
	var m Membership
	last := errors.New("the ledger has no leader")
	for ctx.Err() == nil {
		if err := n.ended(); err != nil {
			return m, fmt.Errorf("%s node %s: %w", c.Do, c.Node, err)
		}
		leader, reign := n.leader.get()
		if leader != "" {
			got, err := n.changeAt(ctx, leader, c)
			m.Changed = m.Changed || got.Changed
			switch w, answered := errors.AsType[*wire.Error](err); {
			case err == nil && got.Done:
				m.Voters = got.Voters
				return m, nil
			case err == nil:
				last = fmt.Errorf("%s is taken in and has yet to catch up", c.Node)
			case answered && w.Code == wire.Denied:
				return m, fmt.Errorf("%s node %s: %w: %s", c.Do, c.Node, ErrDenied, w.Text)
			default:
				last = err
			}
		}
		pause(ctx, reign.Done(), n.timing.Heartbeat)
	}
	return m, fmt.Errorf("%s node %s: not done yet: %w", c.Do, c.Node, last)
}

func (n *Node) changeAt(ctx context.Context, leader string, c change) (got changed, err error) {
	if leader == n.opt.Self {
		return n.change(ctx, c)
	}
	l, ok := n.links[leader]
	if !ok {
		return got, fmt.Errorf("the leader %s is not in this node's file", leader)
	}
	ctx, cancel := context.WithTimeout(ctx, 8*n.timing.Heartbeat)
	defer cancel()
	return got, l.Call(ctx, wire.AskMember, c, &got)
}

// changeFor makes the next step of a change that a peer asks for.
func (n *Node) changeFor(ctx context.Context, body json.RawMessage) (changed, error) {
	var c change
	if err := json.Unmarshal(body, &c); err != nil {
		return changed{}, denied("%v", err)
	}
	return n.change(ctx, c)
}

// change makes the next step as the leader.
func (n *Node) change(ctx context.Context, c change) (changed, error) {
	if !n.membership.TryLock() {
		return changed{}, nothing("another change of membership is under way")
	}
	defer n.membership.Unlock()
	r, limit, err := n.leading(ctx)
	if err != nil {
		return changed{}, err
	}
	servers, err := n.committedServers(ctx, r, limit)
	if err != nil {
		return changed{}, err
	}
	switch {
	case c.Do == addNode && n.opt.peer(c.Node).Name == "":
		return changed{}, denied("the file on the leader %s lists no node %q (it lists %s): put it into the file on every node, restart their daemons one after the other, and start the new node",
			n.opt.Self, c.Node, strings.Join(nodeNames(n.opt.Peers), ", "))
	case c.Do == addNode:
		return n.add(ctx, r, limit, servers, c.Node)
	case c.Do == removeNode:
		return n.remove(ctx, r, limit, servers, c.Node)
	}
	return changed{}, denied("%s doesn't know the change %q: run the same release on all nodes", n.opt.Self, c.Do)
}

// add takes a node's disk in without a vote. The node itself asks for its vote when it has caught
// up (readmit.go).
func (n *Node) add(ctx context.Context, r *raft.Raft, limit time.Duration, servers []raft.Server, name string) (changed, error) {
	voters := votersOf(servers)
	if slices.Contains(voters, name) {
		return changed{Done: true, Voters: voters}, nil
	}
	for _, s := range servers {
		switch {
		case s.Suffrage == raft.Voter:
		case nodeOf(s.ID) == name:
			return changed{Voters: voters}, nil
		default:
			return changed{}, denied("%s is still being taken in; one at a time: wait until it votes, or remove it", nodeOf(s.ID))
		}
	}
	peers, errs := n.helloAll(ctx)
	joiner, up := peers[name]
	if !up {
		return changed{}, denied("%s is not reached at its address %s: start its daemon first (%v)", name, n.opt.peer(name).Address, errs[name])
	}
	for _, v := range voters {
		if i, answers := peers[v]; answers && !slices.Contains(i.Nodes, name) {
			return changed{}, denied("the file on %s doesn't list %s: use the same file on every node, and restart their daemons one after the other", v, name)
		}
	}
	id := raft.ServerID(joiner.ID)
	if err := judge(await(r.AddNonvoter(id, raft.ServerAddress(id), 0, limit), limit, ctx.Done())); err != nil {
		return changed{}, err
	}
	n.log.Info("ledger membership: node added; it votes when it has caught up", "node", name, "id", joiner.ID)
	return changed{Changed: true, Voters: voters}, nil
}

// remove takes a node's disk out, if the other voters that are up are a majority of those that
// are left. A leader hands over before it is removed.
func (n *Node) remove(ctx context.Context, r *raft.Raft, limit time.Duration, servers []raft.Server, name string) (changed, error) {
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return nodeOf(s.ID) == name })
	if at < 0 {
		return changed{Done: true, Voters: votersOf(servers)}, nil
	}
	left := slices.DeleteFunc(slices.Clone(servers), func(s raft.Server) bool { return nodeOf(s.ID) == name })
	if err := n.quorumWith(ctx, r, votersOf(left)); err != nil {
		return changed{}, denied("without %s %v", name, err)
	}
	if name == n.opt.Self {
		if err := await(r.LeadershipTransfer(), 2*n.timing.Heartbeat, ctx.Done()); err != nil {
			return changed{}, nothing("%s leads and could not hand over: %v", name, err)
		}
		return changed{}, nothing("%s led, and has handed over", name)
	}
	if err := judge(await(r.RemoveServer(servers[at].ID, 0, limit), limit, ctx.Done())); err != nil {
		return changed{}, err
	}
	n.log.Info("ledger membership: node removed", "node", name, "id", string(servers[at].ID))
	rest := slices.Delete(slices.Clone(servers), at, at+1)
	gone := !slices.ContainsFunc(rest, func(s raft.Server) bool { return nodeOf(s.ID) == name })
	return changed{Done: gone, Changed: true, Voters: votersOf(rest)}, nil
}

// quorumWith says why the voters would be no quorum: too few of them follow this leader now with
// the log at hand.
func (n *Node) quorumWith(ctx context.Context, r *raft.Raft, voters []string) error {
	if len(voters) == 0 {
		return errors.New("nobody would vote")
	}
	up, down := 0, []string{}
	for _, v := range voters {
		if v == n.opt.Self {
			up++
		} else if _, err := n.fit(ctx, r, v); err == nil {
			up++
		} else {
			down = append(down, fmt.Sprintf("%s: %v", v, err))
		}
	}
	if need := len(voters)/2 + 1; up < need {
		return fmt.Errorf("the ledger would lose its quorum: %d of the voters %s must be up, and %d are (%s)",
			need, strings.Join(voters, ", "), up, strings.Join(down, "; "))
	}
	return nil
}

// votersOf are the sorted names of the nodes that vote.
func votersOf(servers []raft.Server) []string {
	out := []string{}
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			out = append(out, nodeOf(s.ID))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// strangers says where the file and the configuration differ, and what to do about it.
func strangers(peers []Peer, servers []raft.Server) []string {
	var out []string
	voters := votersOf(servers)
	for _, name := range nodeNames(peers) {
		listed := slices.ContainsFunc(servers, func(s raft.Server) bool { return nodeOf(s.ID) == name })
		switch {
		case slices.Contains(voters, name):
		case listed:
			out = append(out, name+" is being taken into the ledger: it votes when it has caught up")
		default:
			out = append(out, fmt.Sprintf("%s is in the file but has no vote in the ledger: take it in with solevip cluster add %s, or out of the file on every node", name, name))
		}
	}
	for _, v := range voters {
		if !slices.ContainsFunc(peers, func(p Peer) bool { return p.Name == v }) {
			out = append(out, fmt.Sprintf("%s votes in the ledger but is not in this node's file: take its vote away with solevip cluster remove %s, or put it back into the file on every node", v, v))
		}
	}
	return out
}

// denied is the leader's word that something will not be done.
func denied(format string, args ...any) error {
	return &wire.Error{Code: wire.Denied, Text: fmt.Sprintf(format, args...)}
}

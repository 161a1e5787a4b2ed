package raftnode

import (
	"time"

	"github.com/hashicorp/raft"
)

// State says how far a node's part in the ledger has come.
type State string

// The states of a node.
const (
	Forming   State = "forming"   // no ledger yet, or this disk isn't in it yet
	Lost      State = "lost-disk" // the ledger knows this node by another disk: it doesn't vote
	Unlisted  State = "not-added" // the ledger doesn't know this node: it waits to be added, and doesn't vote
	Follower  State = "follower"
	Candidate State = "candidate"
	Leader    State = "leader"
	Failed    State = "failed" // the log's disk failed: out of the quorum until a restart
	Closed    State = "closed"
)

// Status is a node's view of the ledger, for people and for metrics.
type Status struct {
	State  State
	Leader string // node name, "" when unknown
	// Quorum says that a proposal would be agreed now, as far as this node can tell: there is a
	// leader, it was heard within a heartbeat time-out, and no proposal of this node went
	// unanswered since the last that was answered. It decides nothing.
	Quorum bool
	// Admitted says that this node's disk is a voter.
	Admitted bool
	// Problem says what keeps this node from its part, and what to do; "" when nothing does.
	Problem string
	// LastContact is how long ago the leader was heard, 0 on the leader, -1 for never.
	LastContact time.Duration
	Voters      []string // node names
	// Strangers says, in words, where the file's nodes and the ledger's differ.
	Strangers []string
	awaited   error  // an imported ledger doesn't act yet
	Ledger    string // the formed ledger's id
	Disk      string // this node's server id
	Index     uint64 // of the newest record this node knows
	Insecure  bool
}

// Status tells how this node's part in the ledger stands.
func (n *Node) Status() Status {
	n.mu.Lock()
	s := Status{State: Forming, Problem: n.problem, Ledger: n.ledger, LastContact: -1, Disk: string(n.store.id()), Insecure: n.opt.Insecure}
	lost, unlisted, doubt, failure, closed := n.lost, n.unlisted, n.doubt, n.failure, n.closed
	r := n.raft
	n.mu.Unlock()
	s.Leader, _ = n.leader.get()
	if rec, known := n.feed.Record(); known {
		s.Index = rec.Index
	}
	if r != nil {
		n.statusOf(r, &s)
	}
	s.Quorum = s.Quorum && s.Leader != "" && !doubt
	switch {
	case closed:
		s.State, s.Quorum = Closed, false
	case failure != nil:
		s.State, s.Quorum, s.Admitted, s.Problem = Failed, false, false, failure.Error()
	case lost && unlisted:
		s.State, s.Admitted = Unlisted, false
	case lost:
		s.State, s.Admitted = Lost, false
	case s.awaited != nil:
		s.Quorum, s.Problem = false, s.awaited.Error()
	case s.Admitted && s.Quorum:
		s.Problem = "" // it's over, and not yet looked at again
	}
	return s
}

func (n *Node) statusOf(r *raft.Raft, s *Status) {
	servers := r.GetConfiguration().Configuration().Servers
	s.Voters = votersOf(servers)
	s.Admitted = n.isVoter(r)
	if s.Admitted { // else what it knows may be long past
		s.Strangers = strangers(n.opt.Peers, servers)
		s.awaited = n.awaited(r)
	}
	switch r.State() {
	case raft.Leader:
		s.State, s.LastContact, s.Quorum = Leader, 0, true
		return
	case raft.Candidate:
		s.State = Candidate
	default:
		s.State = Follower
	}
	if at := r.LastContact(); !at.IsZero() {
		s.LastContact = time.Since(at)
		s.Quorum = s.LastContact <= n.timing.Heartbeat
	}
}

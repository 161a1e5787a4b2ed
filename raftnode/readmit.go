package raftnode

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/raftnode/wire"
)

// caughtUp is how many entries a new disk may lack when it gets its vote.
const caughtUp = 128

// admission is the body of a readmit request: the disk, and how far it has got.
type admission struct {
	ID      string `json:"id"`
	Applied uint64 `json:"applied"`
}

// admitted is its answer.
type admitted struct {
	Ledger string `json:"ledger"`
	Voter  bool   `json:"voter"`
}

// readmit takes a node in under a new disk, as the leader. Each request does one committed change
// of membership at most, judged by the committed configuration alone; the node asks until it
// votes, so a new leader goes on where the old one was. In turn: add the new disk without a vote,
// wait until it has caught up, remove the node's former disks, give the vote.
func (n *Node) readmit(ctx context.Context, peer string, body json.RawMessage) (admitted, error) {
	var ask admission
	if err := json.Unmarshal(body, &ask); err != nil || nodeOf(raft.ServerID(ask.ID)) != peer {
		return admitted{}, &wire.Error{Code: wire.Denied, Text: fmt.Sprintf("%s asks to admit %q", peer, ask.ID)}
	}
	if !n.membership.TryLock() {
		return admitted{}, nothing("another change of membership is under way")
	}
	defer n.membership.Unlock()
	r, limit, err := n.leading(ctx)
	if err != nil {
		return admitted{}, err
	}
	servers, err := n.committedServers(ctx, r, limit)
	if err != nil {
		return admitted{}, err
	}
	id := raft.ServerID(ask.ID)
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID == id })
	former := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID != id && nodeOf(s.ID) == peer })
	ledger, _ := n.identity()
	answer := admitted{Ledger: ledger}
	var change raft.IndexFuture
	what := ""
	switch {
	case at >= 0 && servers[at].Suffrage == raft.Voter && former < 0:
		answer.Voter = true
		return answer, nil
	case at < 0 && former < 0:
		return admitted{}, denied("%s is no node of the ledger: it was not added yet, or was removed; take it in with solevip cluster add %s, on any node", peer, peer)
	case at < 0:
		if err := n.confirmDisk(ctx, peer, ask.ID); err != nil {
			return admitted{}, err
		}
		what, change = "new disk admitted without a vote", r.AddNonvoter(id, raft.ServerAddress(id), 0, limit)
	case ask.Applied+caughtUp < r.CommitIndex():
		return answer, nil // still catching up
	case former >= 0:
		what, change = "former disk removed", r.RemoveServer(servers[former].ID, 0, limit)
	default:
		what, change = "new disk given the vote", r.AddVoter(id, raft.ServerAddress(id), 0, limit)
		answer.Voter = true
	}
	if err := judge(await(change, limit, ctx.Done())); err != nil {
		return admitted{}, err
	}
	n.log.Info("ledger membership: "+what, "node", peer, "id", ask.ID)
	return answer, nil
}

// committedServers is the configuration, when it is surely committed: a barrier of this leader
// after it was read came through, and it is still the same.
func (n *Node) committedServers(ctx context.Context, r *raft.Raft, limit time.Duration) ([]raft.Server, error) {
	before := r.GetConfiguration().Configuration()
	if err := judge(await(r.Barrier(limit), limit, ctx.Done())); err != nil {
		return nil, err
	}
	after := r.GetConfiguration().Configuration()
	if !slices.Equal(before.Servers, after.Servers) {
		return nil, nothing("membership is changing")
	}
	return after.Servers, nil
}

// confirmDisk asks the node at the address in the file for its disk, so that a second machine
// with the same name somewhere else can't take the first one's place.
func (n *Node) confirmDisk(ctx context.Context, peer, id string) error {
	var i introduction
	if err := n.links[peer].Call(ctx, wire.AskHello, nil, &i); err != nil {
		return nothing("%s asks to be admitted, but isn't reached at its address %s: %v", peer, n.opt.peer(peer).Address, err)
	}
	if i.ID != id {
		return &wire.Error{Code: wire.Denied, Text: fmt.Sprintf("%s asks to be admitted as %s, but at its address %s there is %s: two machines have the same name", peer, id, n.opt.peer(peer).Address, i.ID)}
	}
	return nil
}

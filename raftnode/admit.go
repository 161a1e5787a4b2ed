package raftnode

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/raftnode/wire"
)

// How a node comes to take part.
//
// Forming: a disk that is part of no ledger asks every other node for its disk. When it has heard
// from all of them it pledges, durably and once, to form the ledger of exactly these disks, and
// forms it when all others have pledged the same. So two different ledgers can't be formed of
// overlapping disks, whatever crashes or is replaced in between.
//
// Joining what is formed: a disk that the formed configuration lists just starts, with an empty
// log. A node whose name is listed with another disk has lost its disk, and its votes with it: it
// doesn't vote but asks the leader to be re-admitted under its new disk (readmit.go). One whose name
// isn't listed waits until an operator has it added (members.go).

// formPoll is how often a node asks around while there's no ledger yet.
const formPoll = 100 * time.Millisecond

// admit works towards taking part until the node closes.
func (n *Node) admit(ctx context.Context) {
	for ctx.Err() == nil {
		again, err := n.admitStep(ctx)
		if err != nil && ctx.Err() == nil {
			n.setProblem(err.Error())
			again = n.timing.Heartbeat
		}
		pause(ctx, nil, again)
	}
}

// admitStep does the next thing and says when to look again.
func (n *Node) admitStep(ctx context.Context) (time.Duration, error) {
	hb := n.timing.Heartbeat
	if n.ended() != nil {
		return hb, nil
	}
	r := n.currentRaft()
	leader, _ := n.leader.get()
	if r != nil && n.isVoter(r) && leader != "" && !n.isLost() {
		n.setProblem("")
		return 2 * hb, nil
	}
	peers, errs := n.helloAll(ctx)
	formed := newest(peers)
	id := string(n.store.id())
	switch {
	case r == nil && formed != nil && formed.has(id):
		return formPoll, n.join(formed.Ledger)
	case r == nil && formed == nil:
		return formPoll, n.form(peers, errs)
	case r == nil, formed != nil && formed.Leads && (n.isLost() || !n.votes(formed)):
		return hb, n.seekAdmission(ctx, r, formed, errs)
	case n.isLost():
		return hb, fmt.Errorf("%s; no leader is known to ask%s", n.lostText(""), because(errs))
	}
	return hb, fmt.Errorf("the ledger has no leader: a majority of %s must be up and reach each other%s", strings.Join(nodeNames(n.opt.Peers), ", "), because(errs))
}

// votes says whether this disk is a voter in a peer's configuration.
func (n *Node) votes(i *introduction) bool {
	return slices.Contains(i.Servers, member{ID: string(n.store.id()), Voter: true})
}

// newest is the best word on the formed ledger: the leader's, or else the newest term's.
func newest(peers map[string]introduction) *introduction {
	var best *introduction
	for _, i := range peers {
		switch {
		case len(i.Servers) == 0:
		case best == nil, i.Leads && !best.Leads, i.Leads == best.Leads && i.Term > best.Term:
			best = &i
		}
	}
	return best
}

// helloAll asks every other node who it is. Both maps are by node name.
func (n *Node) helloAll(ctx context.Context) (map[string]introduction, map[string]error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Heartbeat)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	peers, errs := map[string]introduction{}, map[string]error{}
	for name, l := range n.links {
		wg.Go(func() {
			var i introduction
			err := l.Call(ctx, wire.AskHello, nil, &i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[name] = err
				return
			}
			peers[name] = i
		})
	}
	wg.Wait()
	return peers, errs
}

// because lists what went wrong with which peer, for people.
func because(errs map[string]error) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		fmt.Fprintf(&b, "; %s: %v", name, errs[name])
	}
	return b.String()
}

// join starts with an empty log in a ledger that lists this disk.
func (n *Node) join(ledger string) error {
	if err := n.store.setLedger(ledger); err != nil {
		return err
	}
	n.setLedger(ledger)
	if err := n.startRaft(nil); err != nil {
		return err
	}
	n.log.Info("joined the ledger", "ledger", ledger, "id", string(n.store.id()))
	return nil
}

// form brings the first configuration about. Nobody among the peers has a ledger.
func (n *Node) form(peers map[string]introduction, errs map[string]error) error {
	if len(errs) > 0 {
		return fmt.Errorf("no ledger yet: to form it, all nodes must be up at once; waiting for %s%s",
			strings.Join(slices.Sorted(maps.Keys(errs)), ", "), because(errs))
	}
	names := nodeNames(n.opt.Peers)
	want := []string{string(n.store.id())}
	for name, i := range peers {
		if !slices.Equal(i.Nodes, names) {
			return fmt.Errorf("no ledger yet: %s's file lists the nodes %v, and here they are %v: use the same file on every node", name, i.Nodes, names)
		}
		want = append(want, i.ID)
	}
	slices.Sort(want)
	mine, err := n.store.pledge()
	if err != nil {
		return err
	}
	if mine == nil {
		mine = want
		if err := n.store.setPledge(want); err != nil {
			return err
		}
	}
	if !slices.Equal(mine, want) {
		return fmt.Errorf("no ledger yet: this node agreed to form one of the disks %v, and now they are %v: stop all nodes, move the raft directory away on each, and start them again", mine, want)
	}
	for _, i := range peers {
		if !slices.Equal(i.Pledge, mine) {
			return nil // it hasn't pledged yet, or pledged to other disks and says so itself
		}
	}
	ledger := ledgerID(n.opt.Cluster, mine)
	n.setLedger(ledger)
	if err := n.startRaft(mine); err != nil {
		return err
	}
	if err := n.store.setLedger(ledger); err != nil { // only now: it says that the log has begun
		return err
	}
	n.log.Info("ledger formed", "ledger", ledger, "disks", mine)
	return nil
}

// lostText says that the disk is lost, and what that means.
func (n *Node) lostText(other string) string {
	known := "doesn't list this node"
	if other != "" {
		known = "knows this node by another disk (" + other + ")"
	}
	if other == "" && n.isUnlisted() {
		return fmt.Sprintf("the ledger doesn't list this node, so it doesn't vote: it waits for solevip cluster add %s, on any node", n.opt.Self)
	}
	return fmt.Sprintf("the ledger %s, so %s is new here: it doesn't vote until the leader has admitted it, which needs a majority of the ledger's own nodes", known, n.store.id())
}

// seekAdmission asks the leader to take this disk in.
func (n *Node) seekAdmission(ctx context.Context, r *raft.Raft, formed *introduction, errs map[string]error) error {
	id := string(n.store.id())
	n.mu.Lock()
	other := formed.otherDisk(id)
	fresh := !n.lost
	n.lost, n.unlisted = true, other == "" && !formed.has(id)
	n.mu.Unlock()
	if fresh {
		n.log.Warn("this node doesn't vote", "reason", n.lostText(other))
	}
	leader := formed.Leader
	if formed.Leads {
		leader = nodeOf(raft.ServerID(formed.ID))
	}
	l, ok := n.links[leader]
	if !ok {
		return fmt.Errorf("%s; no leader is known to ask%s", n.lostText(other), because(errs))
	}
	n.leader.set(leader)
	ask := admission{ID: id}
	if r != nil {
		ask.Applied = r.AppliedIndex()
	}
	ctx, cancel := context.WithTimeout(ctx, 4*n.timing.Heartbeat)
	defer cancel()
	var got admitted
	if err := l.Call(ctx, wire.AskReadmit, ask, &got); err != nil {
		return fmt.Errorf("%s; the leader's answer: %w", n.lostText(other), err)
	}
	n.setProblem(n.lostText(other) + "; the leader " + leader + " is at it")
	if r == nil {
		return n.join(got.Ledger)
	}
	if got.Voter {
		n.mu.Lock()
		n.lost, n.unlisted = false, false
		n.mu.Unlock()
		n.log.Info("admitted to the ledger again", "id", id)
	}
	return nil
}

// setProblem notes what keeps the node from its part; "" says that nothing does. Elections and
// staggered starts pass by themselves, so the log hears of a problem only after a while.
func (n *Node) setProblem(text string) {
	n.mu.Lock()
	now := time.Now()
	if n.problem == "" {
		n.troubled = now
	}
	n.problem = text
	lasted := now.Sub(n.troubled)
	n.mu.Unlock()
	if text != "" && lasted >= 4*n.timing.Heartbeat && n.said.ok("problem") {
		n.log.Warn("no full part in the ledger", "problem", text)
	}
}

func (n *Node) isLost() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

func (n *Node) isUnlisted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unlisted
}

// isVoter says whether this disk votes by the configuration that it knows.
func (n *Node) isVoter(r *raft.Raft) bool {
	id := n.store.id()
	return slices.ContainsFunc(r.GetConfiguration().Configuration().Servers, func(s raft.Server) bool {
		return s.ID == id && s.Suffrage == raft.Voter
	})
}

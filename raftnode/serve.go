package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

const (
	maxBudget  = 30 * time.Second // for a request that names none, or more
	maxPending = 64               // requests under way on one connection
)

// asker is a peer's request connection, as this node serves it.
type asker struct {
	node  *Node
	peer  string
	space string // own, or the cluster whose guest it is
	conn  net.Conn

	turn  wire.Turn // to send a frame
	watch context.CancelFunc
}

// serve answers a peer's requests until its connection ends.
func (n *Node) serve(ctx context.Context, who caller, c net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	a := &asker{node: n, peer: who.node, space: who.space, conn: c, turn: wire.NewTurn(), watch: func() {}}
	slots := make(chan struct{}, maxPending)
	for {
		var req wire.Request
		if err := wire.Read(c, &req, wire.MaxRequest); err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			a.answer(req.ID, nil, nothing("%s is busy", n.opt.Self))
			continue
		}
		sub := ctx
		if req.Ask == wire.AskWatch { // one per connection: the newer replaces the older
			a.watch()
			sub, a.watch = context.WithCancel(ctx)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			a.handle(sub, req)
		})
	}
}

func (a *asker) handle(ctx context.Context, req wire.Request) {
	n := a.node
	switch {
	case req.Ask != wire.AskWatch:
	case a.space != own:
		a.answer(req.ID, nil, a.shine(ctx, req.ID))
		return
	default:
		a.answer(req.ID, nil, a.push(ctx, req.ID))
		return
	}
	budget := maxBudget
	if req.Budget > 0 {
		budget = min(budget, time.Duration(req.Budget)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var body any
	var err error
	if a.space != own {
		body, err = a.handleGuest(ctx, req)
		a.answer(req.ID, body, err)
		return
	}
	switch req.Ask {
	case wire.AskHello:
		body = n.introduce()
	case wire.AskPropose:
		var got wire.Agreed
		got, err = n.applyFor(ctx, a.peer, req.Body)
		body, err = n.encoded.answer(own, got, err)
	case wire.AskRead:
		var got wire.Agreed
		got, err = n.read(ctx, own)
		body, err = n.encoded.answer(own, got, err)
	case askProposeFor, askReadFor:
		body, err = n.handleFor(ctx, req)
	case wire.AskReadmit:
		body, err = n.readmit(ctx, a.peer, req.Body)
	case wire.AskMember:
		body, err = n.changeFor(ctx, req.Body)
	default:
		err = &wire.Error{Code: wire.Denied, Text: fmt.Sprintf("%s doesn't know request %q: run the same release on all nodes", n.opt.Self, req.Ask)}
	}
	a.answer(req.ID, body, err)
}

// applyFor has a peer's command agreed. The command must act in the peer's own name.
func (n *Node) applyFor(ctx context.Context, peer string, body json.RawMessage) (wire.Agreed, error) {
	var p wire.Proposal
	if err := json.Unmarshal(body, &p); err != nil {
		return wire.Agreed{}, &wire.Error{Code: wire.Denied, Text: err.Error()}
	}
	cmd, err := arbiter.Decode(p.Command)
	if err != nil {
		return wire.Agreed{}, &wire.Error{Code: wire.Denied, Text: err.Error()}
	}
	if cmd.Actor() != peer {
		err := fmt.Errorf("%v: proposed by %s: %w", cmd, peer, ErrNotYou)
		n.log.Warn("ledger proposal denied", "peer", peer, "err", err)
		return wire.Agreed{}, &wire.Error{Code: wire.Denied, Text: err.Error()}
	}
	return n.applyOwn(ctx, p.Command)
}

// push streams this node's records while it leads, and repeats itself so that the peer can tell
// a quiet ledger from a dead leader.
func (a *asker) push(ctx context.Context, id uint64) error {
	n := a.node
	records, end := n.feed.Watch()
	defer end()
	tick := time.NewTicker(n.timing.Heartbeat / 3)
	defer tick.Stop()
	for {
		var body any
		select {
		case r, on := <-records:
			if !on {
				return nothing("%s is closing", n.opt.Self)
			}
			raw, err := n.encoded.record(own, r)
			if err != nil {
				return err
			}
			body = raw
		case <-tick.C:
			if r := n.currentRaft(); r == nil || r.State() != raft.Leader {
				return nothing("%s doesn't lead", n.opt.Self)
			}
		case <-ctx.Done():
			return nothing("%s ends the stream", n.opt.Self)
		}
		if err := a.send(wire.Reply{ID: id, More: true}, body); err != nil {
			return err
		}
	}
}

func (a *asker) answer(id uint64, body any, err error) {
	r := wire.Reply{ID: id}
	if err != nil {
		r.Code, r.Text, body = wire.Unknown, err.Error(), nil
		if w, ok := errors.AsType[*wire.Error](err); ok {
			r.Code = w.Code
		}
	}
	if err := a.send(r, body); err != nil {
		a.conn.Close() // the peer takes it from there
	}
}

func (a *asker) send(r wire.Reply, body any) error {
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		r.Body = raw
	}
	a.turn.Take()
	defer a.turn.Give()
	if err := a.conn.SetWriteDeadline(time.Now().Add(wire.GreetLimit)); err != nil {
		return err
	}
	return wire.Write(a.conn, r, wire.MaxReply)
}

// encoder keeps the JSON of each space's newest record: the same one goes to the proposer and to
// every watcher.
type encoder struct {
	mu    sync.Mutex
	known map[string]encoded
}

type encoded struct {
	index uint64
	raw   json.RawMessage
}

// record is a record's JSON. A record is known by its space and its index.
func (e *encoder) record(space string, r arbiter.Record) (json.RawMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k, ok := e.known[space]; ok && k.index == r.Index {
		return k.raw, nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the record: %w", err)
	}
	e.known[space] = encoded{r.Index, raw}
	return raw, nil
}

// answer is what the peer decodes as agreed.
func (e *encoder) answer(space string, a wire.Agreed, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	raw, err := e.record(space, a.Record)
	return struct {
		Record  json.RawMessage  `json:"record"`
		Refusal *arbiter.Refusal `json:"refusal,omitempty"`
	}{raw, a.Refusal}, err
}

// introduction is a node's answer to hello.
type introduction struct {
	ID      string   `json:"id"`    // server id: name and disk
	Nodes   []string `json:"nodes"` // the names in its file
	Ledger  string   `json:"ledger,omitempty"`
	Pledge  []string `json:"pledge,omitempty"`
	Servers []member `json:"servers,omitempty"` // the configuration that it knows
	Term    uint64   `json:"term,omitempty"`
	Last    uint64   `json:"last,omitempty"` // its log's last entry
	Leads   bool     `json:"leads,omitempty"`
	Slow    bool     `json:"slow,omitempty"` // its disk is too slow to lead on
	Leader  string   `json:"leader,omitempty"`
}

// member is a server of the configuration.
type member struct {
	ID    string `json:"id"`
	Voter bool   `json:"voter"`
}

func (i introduction) has(id string) bool {
	return slices.ContainsFunc(i.Servers, func(m member) bool { return m.ID == id })
}

// otherDisk is the server by which a configuration knows the node of id, when it isn't id.
func (i introduction) otherDisk(id string) string {
	for _, m := range i.Servers {
		if m.ID != id && nodeOf(raft.ServerID(m.ID)) == nodeOf(raft.ServerID(id)) {
			return m.ID
		}
	}
	return ""
}

func (n *Node) introduce() introduction {
	ledger, _ := n.identity()
	i := introduction{ID: string(n.store.id()), Nodes: nodeNames(n.opt.Peers), Ledger: ledger}
	i.Slow = n.guard.wasSlow()
	if n.ended() != nil {
		return i
	}
	pledge, err := n.store.pledge()
	if err != nil {
		n.log.Warn("ledger disk", "err", err)
	}
	i.Pledge = pledge
	if r := n.currentRaft(); r != nil {
		for _, s := range r.GetConfiguration().Configuration().Servers {
			i.Servers = append(i.Servers, member{ID: string(s.ID), Voter: s.Suffrage == raft.Voter})
		}
		_, leader := r.LeaderWithID()
		i.Term, i.Last, i.Leads, i.Leader = r.CurrentTerm(), r.LastIndex(), r.State() == raft.Leader, nodeOf(leader)
	}
	return i
}

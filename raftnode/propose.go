package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// ErrNotProposed says that a proposal certainly had no effect: no leader took it. Any other error
// of Propose but a refusal means that it may or may not be agreed.
var ErrNotProposed = errors.New("not proposed")

// ErrNotYou says that a node proposed in another node's name.
var ErrNotYou = errors.New("a node may only beat, take and release as itself")

// Propose has a command agreed, by way of whichever node leads. A nil error means that it was
// applied, and the record is the ledger as of then. A *arbiter.Refusal means that it was agreed to
// refuse it, and the record is the ledger as of then. With any other error but ErrNotProposed and
// ErrNotYou the outcome is unknown.
//
// It tries until ctx is done, so give it a deadline. After a lost answer only a beat or a
// registration is sent again, which twice are as good as once; a grant counts from before Propose
// was called either way.
func (n *Node) Propose(ctx context.Context, cmd arbiter.Command) (arbiter.Record, error) {
	if cmd.Actor() != n.opt.Self {
		return arbiter.Record{}, fmt.Errorf("%v: proposed by %s: %w", cmd, n.opt.Self, ErrNotYou)
	}
	a, err := n.repeat(ctx, repeatable(cmd), func(ctx context.Context, leader string) (wire.Agreed, error) {
		data := arbiter.Encode(cmd)
		if leader == n.opt.Self {
			return n.applyOwn(ctx, data)
		}
		var a wire.Agreed
		return a, n.links[leader].Call(ctx, wire.AskPropose, wire.Proposal{Command: data}, &a)
	})
	if err != nil {
		return arbiter.Record{}, fmt.Errorf("%v: %w", cmd, err)
	}
	if a.Refusal != nil {
		return a.Record, a.Refusal
	}
	return a.Record, nil
}

// repeatable says that a command twice in the log is as good as once.
func repeatable(cmd arbiter.Command) bool {
	switch cmd.(type) {
	case arbiter.Beat, arbiter.Register:
		return true
	}
	return false
}

// Read returns the ledger as it is at some instant between call and return: it waits for a
// committed barrier at the leader.
func (n *Node) Read(ctx context.Context) (arbiter.Record, error) {
	a, err := n.repeat(ctx, true, func(ctx context.Context, leader string) (wire.Agreed, error) {
		if leader == n.opt.Self {
			return n.read(ctx, own)
		}
		var a wire.Agreed
		return a, n.links[leader].Call(ctx, wire.AskRead, nil, &a)
	})
	if err != nil {
		return arbiter.Record{}, fmt.Errorf("read the ledger: %w", err)
	}
	return a.Record, nil
}

// repeat tries at the leader until there's an answer, again when nothing was proposed, and, where
// that does no harm, when the outcome is unknown.
func (n *Node) repeat(ctx context.Context, harmless bool, try func(context.Context, string) (wire.Agreed, error)) (wire.Agreed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	var unknown error // the last outcome that isn't known
	last := errors.New("no leader is known")
	for tries := 0; ctx.Err() == nil; tries++ {
		if err := n.ended(); err != nil {
			last = err
			break
		}
		leader, reign := n.leader.get()
		if leader == "" {
			pause(ctx, reign.Done(), n.timing.Heartbeat)
			continue
		}
		a, err := n.attempt(ctx, leader, harmless, try)
		if err == nil {
			n.settled(a.Record)
			return a, nil
		}
		last = err
		switch w, answered := errors.AsType[*wire.Error](err); {
		case answered && w.Code == wire.Denied:
			return wire.Agreed{}, fmt.Errorf("%w: %w", ErrNotProposed, err)
		case answered && w.Code == wire.Nothing || errors.Is(err, wire.ErrUnsent):
		case harmless:
			unknown = err
		default:
			n.doubted()
			return wire.Agreed{}, fmt.Errorf("outcome unknown: %w", err)
		}
		pause(ctx, reign.Done(), n.timing.Heartbeat/20<<min(tries, 3))
	}
	n.doubted()
	if unknown != nil {
		return wire.Agreed{}, fmt.Errorf("outcome unknown: %w", unknown)
	}
	return wire.Agreed{}, fmt.Errorf("%w: %w", ErrNotProposed, last)
}

// attempt is one try at one leader, which ends when the leader is known to be another. Where a lost
// answer does no harm it is given up at once then, and after an attempt's time in any case;
// elsewhere the former leader has a heartbeat left to give its answer.
func (n *Node) attempt(ctx context.Context, leader string, harmless bool, try func(context.Context, string) (wire.Agreed, error)) (wire.Agreed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := n.timing.Heartbeat
	if harmless {
		patience = 0
		ctx, cancel = context.WithTimeout(ctx, n.timing.Attempt)
		defer cancel()
	}
	now, reign := n.leader.get()
	if now != leader {
		return wire.Agreed{}, fmt.Errorf("leader changed: %w", wire.ErrUnsent)
	}
	defer context.AfterFunc(reign, func() { time.AfterFunc(patience, cancel) })()
	return try(ctx, leader)
}

// ended says why nothing can be proposed any more.
func (n *Node) ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("this node is closed")
	}
	return n.failure
}

func (n *Node) settled(r arbiter.Record) {
	n.feed.Confirmed(r)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubt = false
}

func (n *Node) doubted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubt = true
}

// nothing is the leader's word that a proposal has no effect.
func nothing(format string, args ...any) error {
	return &wire.Error{Code: wire.Nothing, Text: fmt.Sprintf(format, args...)}
}

// applyOwn has a command of this cluster agreed by this node as the leader.
func (n *Node) applyOwn(ctx context.Context, command []byte) (wire.Agreed, error) {
	out, err := n.agree(ctx, []item{{Space: own, Command: command}})
	if err != nil {
		return wire.Agreed{}, err
	}
	return out[0].Agreed, out[0].err
}

// agree has an entry agreed by this node as the leader. There is an outcome for each item.
func (n *Node) agree(ctx context.Context, items []item) ([]outcome, error) {
	r, limit, err := n.leading(ctx)
	if err != nil {
		return nil, err
	}
	data, err := encodeEntry(items...)
	if err != nil {
		return nil, denied("%v", err)
	}
	if err := n.awaited(r); err != nil {
		return nil, nothing("%v", err)
	}
	f := r.Apply(data, limit)
	if err := judge(await(f, limit, ctx.Done())); err != nil {
		return nil, err
	}
	out := f.Response().([]outcome)
	if len(out) != len(items) { // the entry could not be read back
		return nil, out[0].err
	}
	return out, nil
}

// read waits for a barrier of this node as the leader.
func (n *Node) read(ctx context.Context, space string) (wire.Agreed, error) {
	r, limit, err := n.leading(ctx)
	if err != nil {
		return wire.Agreed{}, err
	}
	if err := judge(await(r.Barrier(limit), limit, ctx.Done())); err != nil {
		return wire.Agreed{}, err
	}
	return wire.Agreed{Record: n.fsm.in(space)}, nil
}

// leading is Raft when this node leads, and how long a request may take.
func (n *Node) leading(ctx context.Context) (*raft.Raft, time.Duration, error) {
	if err := n.ended(); err != nil {
		return nil, 0, nothing("%v", err)
	}
	r := n.currentRaft()
	if r == nil || r.State() != raft.Leader {
		return nil, 0, nothing("%s doesn't lead", n.opt.Self)
	}
	limit := maxBudget
	if until, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(until))
	}
	if limit <= 0 {
		return nil, 0, nothing("too late")
	}
	return r, limit, nil
}

// judge sorts Raft's errors: those where the entry never got into the log, and the others.
func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrEnqueueTimeout):
		return nothing("%v", err)
	}
	// ErrRaftShutdown is not among them: a committed entry that no longer comes to the machine, because
	// Raft is shutting down, ends with it too (hashicorp/raft, processLogs).
	return &wire.Error{Code: wire.Unknown, Text: err.Error()}
}

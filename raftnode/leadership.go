package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// leadership is who leads, as far as this node knows: "" for nobody.
type leadership struct {
	mu     sync.Mutex
	name   string
	reign  context.Context // ends at the next change
	depose context.CancelFunc
}

// get returns the leader and a context that ends when it is no longer so.
func (l *leadership) get() (string, context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reign == nil {
		l.reign, l.depose = context.WithCancel(context.Background())
	}
	return l.name, l.reign
}

func (l *leadership) set(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == name {
		return false
	}
	l.name = name
	if l.reign != nil {
		l.depose()
		l.reign = nil
	}
	return true
}

// trackLeader keeps up with who leads. Raft doesn't announce every change, so its word is also asked for regularly.
func (n *Node) trackLeader(ctx context.Context) {
	seen := make(chan raft.Observation, 16)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	var registered *raft.Raft
	tick := time.NewTicker(n.timing.Heartbeat / 5)
	defer tick.Stop()
	for {
		if r := n.currentRaft(); r != nil {
			if r != registered {
				r.RegisterObserver(observer)
				registered = r
			}
			_, id := r.LeaderWithID()
			// A node that isn't admitted knows the leader only from its peers (admit.go).
			if id != "" || n.isVoter(r) && !n.isLost() {
				if name := nodeOf(id); n.leader.set(name) {
					n.log.Debug("ledger leader", "leader", name)
				}
			}
		}
		select {
		case <-seen:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// follow takes the leader's pushes: without them this node's log would learn of a commit one
// commit time-out later, and one that isn't admitted would learn nothing.
func (n *Node) follow(ctx context.Context) {
	for ctx.Err() == nil {
		leader, reign := n.leader.get()
		if leader == "" || leader == n.opt.Self {
			pause(ctx, reign.Done(), n.timing.Heartbeat)
			continue
		}
		sub, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(reign, cancel)
		err := n.links[leader].Stream(sub, wire.AskWatch, func(raw json.RawMessage) error {
			var r arbiter.Record
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			n.feed.Agreed(r)
			return nil
		})
		stop()
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			n.log.Debug("ledger push ended", "leader", leader, "err", err)
		}
		pause(ctx, reign.Done(), n.timing.Heartbeat/10)
	}
}

// openFeed reads the ledger through a commit once; from then on this node's record is newer than
// whatever it showed before it was restarted.
func (n *Node) openFeed(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := n.Read(ctx); err == nil {
			return
		}
		pause(ctx, nil, n.timing.Heartbeat/2)
	}
}

// pause waits, but not beyond ctx or a wake-up.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

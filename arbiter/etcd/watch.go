package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// follow keeps the newest view at what etcd pushes. It is only there to be quick: whatever is lost
// here is found by the next read, beat or proposal, and nothing is agreed by what was watched.
func (l *Ledger) follow(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		from := l.lastExact()
		if from == nil {
			select { // the probe reads
			case <-l.moved:
			case <-time.After(l.timing.probe):
			case <-ctx.Done():
			}
			continue
		}
		link := l.ends.pick()
		c, err := link.open()
		if err == nil {
			began := time.Now()
			l.watch(ctx, c, l.known().rev)
			if time.Since(began) > l.timing.quorum {
				n = 0
			}
		}
		l.ends.leave(link)
		pause(ctx, between(n))
	}
}

// watch takes events from one member until it ends, or is seen to lag behind what was read.
func (l *Ledger) watch(ctx context.Context, c *clientv3.Client, rev int64) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := c.Watch(ctx, l.prefix, clientv3.WithPrefix(), clientv3.WithRev(rev+1), clientv3.WithCreatedNotify())
	lag := time.NewTicker(l.timing.attempt)
	defer lag.Stop()
	shown, created := rev, false
	var behind int64 // what was not yet shown at the last tick
	for {
		select {
		case got, open := <-events:
			if !open || got.Err() != nil || got.Canceled || !l.observe(got) {
				return
			}
			created = true
			if len(got.Events) > 0 {
				shown = max(shown, got.Header.Revision)
			}
		case <-lag.C:
			v := l.known()
			if !created || behind > shown {
				return
			}
			behind = v.changed()
		case <-ctx.Done():
			return
		}
	}
}

// observe adds events to the newest view, and says whether the watch goes on. What the view has
// already, and what is older, is left out.
func (l *Ledger) observe(got clientv3.WatchResponse) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wentBack != "" || l.newest == nil || got.Header.ClusterId != l.newest.etcd {
		return false
	}
	var changes []change
	rev := l.newest.rev
	for _, e := range got.Events {
		if e.Kv.ModRevision <= l.newest.rev {
			continue
		}
		rev = max(rev, e.Kv.ModRevision)
		c := changesOf(l.prefix, []*mvccpb.KeyValue{e.Kv})[0]
		c.deleted = e.Type == clientv3.EventTypeDelete
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return true
	}
	next, err := l.newest.merge(changes, rev)
	if err != nil || next.meta.ID != l.newest.meta.ID {
		return false // for a read to judge
	}
	l.advance(next)
	return true
}

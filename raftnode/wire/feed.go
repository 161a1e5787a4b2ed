package wire

import (
	"sync"

	"github.com/solevip/solevip/arbiter"
)

// Feed is the newest record this node knows of, pushed to whoever watches. Records come from the
// local replica, from the leader's push and with the answers to proposals; each is agreed, so
// whichever is newest is right, and an older one is dropped.
//
// After a start the local replica may be behind what this node showed before it stopped. So a
// Feed is shut until a record comes that a leader confirmed by a commit.
type Feed struct {
	mu       sync.Mutex
	open     bool // a confirmed record has come
	latest   arbiter.Record
	watchers map[chan arbiter.Record]struct{}
	closed   bool
}

// NewFeed is a feed that is shut.
func NewFeed() *Feed { return &Feed{watchers: map[chan arbiter.Record]struct{}{}} }

// OpenFeed is a feed of records that need no confirmation.
func OpenFeed() *Feed { return &Feed{open: true, watchers: map[chan arbiter.Record]struct{}{}} }

// Confirmed takes a record that was committed, or read through a commit, in this life of the node.
func (f *Feed) Confirmed(r arbiter.Record) { f.offer(r, true) }

// Agreed takes a record that is right but may be an old one.
func (f *Feed) Agreed(r arbiter.Record) { f.offer(r, false) }

func (f *Feed) offer(r arbiter.Record, confirmed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !f.open && confirmed
	if f.closed || !f.open && !confirmed || !first && r.Index <= f.latest.Index {
		return
	}
	f.open, f.latest = true, r
	for w := range f.watchers {
		push(w, r)
	}
}

// push replaces what a watcher hasn't fetched. Only the feed sends, under its lock, so the channel
// has room after the old value is gone.
func push(w chan arbiter.Record, r arbiter.Record) {
	select {
	case <-w:
	default:
	}
	w <- r
}

// Record is the newest; false while the feed is shut.
func (f *Feed) Record() (arbiter.Record, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest, f.open
}

// Watch returns a channel that holds the newest record not yet fetched, and a way to end it.
func (f *Feed) Watch() (<-chan arbiter.Record, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := make(chan arbiter.Record, 1)
	if f.closed {
		close(w)
		return w, func() {}
	}
	f.watchers[w] = struct{}{}
	if f.open {
		w <- f.latest
	}
	return w, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, on := f.watchers[w]; on {
			delete(f.watchers, w)
			close(w)
		}
	}
}

// Close ends every watch.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for w := range f.watchers {
		delete(f.watchers, w)
		close(w)
	}
}

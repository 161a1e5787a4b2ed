package etcd

import (
	"sync"

	"github.com/solevip/solevip/arbiter"
)

// feed pushes the newest record to whoever watches, and never one that is older than another it has
// pushed.
type feed struct {
	mu       sync.Mutex
	latest   arbiter.Record // of index 0 until there is one
	watchers map[chan arbiter.Record]struct{}
	closed   bool
}

func newFeed() *feed { return &feed{watchers: map[chan arbiter.Record]struct{}{}} }

func (f *feed) offer(r arbiter.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || r.Index <= f.latest.Index {
		return
	}
	f.latest = r
	for w := range f.watchers {
		select { // only the feed sends, under its lock: there is room after the old value is gone
		case <-w:
		default:
		}
		w <- r
	}
}

// watch returns a channel that holds the newest record not yet fetched, and a way to end it.
func (f *feed) watch() (<-chan arbiter.Record, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := make(chan arbiter.Record, 1)
	if f.closed {
		close(w)
		return w, func() {}
	}
	f.watchers[w] = struct{}{}
	if f.latest.Index > 0 {
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

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for w := range f.watchers {
		delete(f.watchers, w)
		close(w)
	}
}

package raftnode

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// storage is what Raft writes to.
type storage interface {
	raft.LogStore
	raft.StableStore
}

// watchdog sits before the store and ends this node's part in the quorum at the first write that
// fails or takes longer than limit. A leader whose disk hangs would otherwise lead for ever: its
// heartbeats need no disk (hashicorp/raft issue 503). For a stall that is shorter, its heartbeats are
// kept back (patient), so that the others elect somebody whose disk answers. And after a failed fsync later ones may
// claim success for data that is gone, so the first failure is final.
type watchdog struct {
	storage
	limit time.Duration
	slow  time.Duration // a write that takes longer than this is slow
	trip  func(error)

	mu     sync.Mutex
	failed error
	slowAt time.Time // when the last slow write ended
	busy   int       // writes under way
	since  time.Time // when the first of them began
}

// stalled says that a write has been under way for so long that the node must not be taken for a
// leader any longer: it is given up as such well before the watchdog ends its part.
func (w *watchdog) stalled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy > 0 && time.Since(w.since) >= 2*w.slow
}

// slowMemory is for how long a disk counts as slow after a write that was.
const slowMemory = 30 * time.Second

// wasSlow says that the disk is too slow to lead on: a leader's own write comes before everybody
// else's, so its disk delays every beat of the cluster.
func (w *watchdog) wasSlow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.slowAt.IsZero() && time.Since(w.slowAt) < slowMemory
}

// underway counts a write in, and returns what to do at its end.
func (w *watchdog) underway() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	if w.busy++; w.busy == 1 {
		w.since = began
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy--
		if now := time.Now(); now.Sub(began) >= w.slow {
			w.slowAt = now
		}
	}
}

// write runs one write of the store under the watchdog. A write that hangs keeps its goroutine
// until the disk answers; what it wrote by then is never acknowledged to anybody.
func (w *watchdog) write(what string, do func() error) error {
	w.mu.Lock()
	failed := w.failed
	w.mu.Unlock()
	if failed != nil {
		return failed
	}
	defer w.underway()()
	done := make(chan error, 1)
	go func() { done <- do() }()
	limit := time.NewTimer(w.limit)
	defer limit.Stop()
	var err error
	select {
	case err = <-done:
		if err == nil {
			return nil
		}
		err = fmt.Errorf("ledger log: %s: %w", what, err)
	case <-limit.C:
		err = fmt.Errorf("ledger log: %s took longer than %v: the disk hangs", what, w.limit)
	}
	w.mu.Lock()
	first := w.failed == nil
	if first {
		w.failed = err
	}
	w.mu.Unlock()
	if first {
		w.trip(err)
	}
	return err
}

// StoreLog implements raft.LogStore.
func (w *watchdog) StoreLog(l *raft.Log) error {
	return w.write("append", func() error { return w.storage.StoreLog(l) })
}

// StoreLogs implements raft.LogStore.
func (w *watchdog) StoreLogs(ls []*raft.Log) error {
	return w.write("append", func() error { return w.storage.StoreLogs(ls) })
}

// DeleteRange implements raft.LogStore.
func (w *watchdog) DeleteRange(from, to uint64) error {
	return w.write("truncate", func() error { return w.storage.DeleteRange(from, to) })
}

// Set implements raft.StableStore.
func (w *watchdog) Set(key, value []byte) error {
	return w.orEnd(w.write("vote", func() error { return w.storage.Set(key, value) }))
}

// SetUint64 implements raft.StableStore.
func (w *watchdog) SetUint64(key []byte, value uint64) error {
	return w.orEnd(w.write("term", func() error { return w.storage.SetUint64(key, value) }))
}

// orEnd ends the calling goroutine, Raft's own, instead of returning an error: Raft would panic,
// and with it would go the daemon that still has addresses to take down in order.
func (w *watchdog) orEnd(err error) error {
	if err != nil {
		runtime.Goexit()
	}
	return nil
}

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
// heartbeats need no disk (hashicorp/raft issue 503). And after a failed fsync later ones may
// claim success for data that is gone, so the first failure is final.
type watchdog struct {
	storage
	limit time.Duration
	trip  func(error)

	mu     sync.Mutex
	failed error
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

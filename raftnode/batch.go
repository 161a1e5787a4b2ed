package raftnode

import (
	"context"
	"sync"
	"time"
)

// The beats of guests travel in batches: a tick of many clusters is a few entries of the log, and so
// a few writes to each disk, and not one for each of their nodes. Only beats wait for company. They
// come every ttl/4 and are in nobody's way; all else is proposed at once.
const (
	batchWindow = 2 * time.Millisecond // the first of a batch waits this long for others
	batchMost   = 256
)

// batcher gathers commands into entries.
type batcher struct {
	// propose has an entry agreed.
	propose func(ctx context.Context, items []item) ([]outcome, error)
	start   func(func()) // runs a goroutine that the node waits for

	mu   sync.Mutex
	open *batch
}

// batch is one entry on its way.
type batch struct {
	items    []item
	until    time.Time // when the last of those who wait gives up
	full     chan struct{}
	done     chan struct{}
	outcomes []outcome
	err      error
}

// add proposes a command along with others. The error is a *wire.Error, or ctx's cause: then the
// command may still be agreed.
func (b *batcher) add(ctx context.Context, it item) (outcome, error) {
	until, limited := ctx.Deadline()
	if !limited {
		until = time.Now().Add(maxBudget)
	}
	mine, at := b.join(it, until)
	select {
	case <-mine.done:
	case <-ctx.Done():
		return outcome{}, context.Cause(ctx)
	}
	if mine.err != nil {
		return outcome{}, mine.err
	}
	return mine.outcomes[at], nil
}

// join puts a command into the open batch, which it opens when there's none.
func (b *batcher) join(it item, until time.Time) (*batch, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.open
	if mine == nil {
		mine = &batch{full: make(chan struct{}), done: make(chan struct{})}
		b.open = mine
		b.start(func() { b.send(mine) })
	}
	mine.items = append(mine.items, it)
	if until.After(mine.until) {
		mine.until = until
	}
	if len(mine.items) == batchMost {
		b.open = nil
		close(mine.full)
	}
	return mine, len(mine.items) - 1
}

// send waits for company, closes the batch, and has it agreed.
func (b *batcher) send(mine *batch) {
	defer close(mine.done)
	wait := time.NewTimer(batchWindow)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-mine.full:
	}
	b.mu.Lock()
	if b.open == mine {
		b.open = nil
	}
	b.mu.Unlock()
	ctx, cancel := context.WithDeadline(context.Background(), mine.until)
	defer cancel()
	mine.outcomes, mine.err = b.propose(ctx, mine.items)
}

package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
)

// machine is the bridge between Raft and the ledger: decode, arbiter.Apply, keep the record.
type machine struct {
	feed *feed
	trip func(error) // the node must leave the quorum

	mu     sync.Mutex
	record arbiter.Record
	broken error // an entry could not be read; nothing after it may be applied
}

// outcome is what applying an entry came to.
type outcome struct {
	agreed
	err error
}

// Apply implements raft.FSM. A refused command moves the index too: it was agreed that it be
// refused, and every replica refuses it alike.
func (m *machine) Apply(l *raft.Log) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return outcome{err: m.broken}
	}
	cmd, err := arbiter.Decode(l.Data)
	if err != nil {
		m.broken = fmt.Errorf("entry %d of the ledger can't be read by this version (upgrade this node): %w", l.Index, err)
		m.trip(m.broken)
		return outcome{err: m.broken}
	}
	next, err := arbiter.Apply(m.record, cmd)
	refusal, refused := errors.AsType[*arbiter.Refusal](err)
	if err != nil && !refused {
		panic(fmt.Sprintf("raftnode: apply %v at %d: %v", cmd, l.Index, err)) // Apply only refuses
	}
	next.Index = l.Index
	m.record = next
	m.feed.agreed(next)
	return outcome{agreed: agreed{Record: next, Refusal: refusal}}
}

func (m *machine) current() arbiter.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record
}

// image is a snapshot on disk.
type image struct {
	Format int            `json:"format"`
	Record arbiter.Record `json:"record"`
}

const imageFormat = 1

// Snapshot implements raft.FSM. Records are values, so the image needs no copy.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	return image{Format: imageFormat, Record: m.record}, nil
}

// Restore implements raft.FSM.
func (m *machine) Restore(from io.ReadCloser) error {
	defer from.Close()
	var img image
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(&img); err != nil {
		return fmt.Errorf("snapshot of the ledger: %w", err)
	}
	if img.Format != imageFormat {
		return fmt.Errorf("snapshot of the ledger has format %d; this version reads %d", img.Format, imageFormat)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = img.Record
	m.feed.agreed(img.Record)
	return nil
}

// Persist implements raft.FSMSnapshot.
func (i image) Persist(to raft.SnapshotSink) error {
	if err := json.NewEncoder(to).Encode(i); err != nil {
		return errors.Join(fmt.Errorf("snapshot of the ledger: %w", err), to.Cancel())
	}
	return to.Close()
}

// Release implements raft.FSMSnapshot.
func (image) Release() {}

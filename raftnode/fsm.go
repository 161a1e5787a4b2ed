package raftnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// own is the space of the cluster that these nodes are. Every other cluster that has its ledger
// here has a space of its own name, which is never empty.
const own = ""

// item is a command and the space that it is for. An entry of Raft's log is a list of them.
type item struct {
	Space   string          `json:"space,omitempty"`
	Command json.RawMessage `json:"command"`
}

// machine is the bridge between Raft and the ledger: decode, arbiter.Apply, keep the records.
type machine struct {
	trip    func(error) // the node must leave the quorum
	started time.Time

	mu     sync.Mutex
	spaces map[string]*space
	broken error // an entry could not be read; nothing after it may be applied
}

// space is one cluster's ledger, apart from all others.
type space struct {
	record arbiter.Record
	feed   *wire.Feed
	beats  map[string]time.Time // when a node's beat was last seen to change, for people
}

// newMachine keeps no record yet. This cluster's own goes to feed.
func newMachine(feed *wire.Feed, trip func(error)) *machine {
	return &machine{trip: trip, started: time.Now(), spaces: map[string]*space{own: {feed: feed, beats: map[string]time.Time{}}}}
}

// outcome is what applying a command came to.
type outcome struct {
	wire.Agreed
	err error
}

// Apply implements raft.FSM. A refused command moves the index too: it was agreed that it be
// refused, and every replica refuses it alike. Every item's outcome has its space's record as of
// the end of the entry, so that one index is one record.
func (m *machine) Apply(l *raft.Log) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return []outcome{{err: m.broken}}
	}
	items, commands, err := decodeEntry(l.Data)
	if err != nil {
		m.broken = fmt.Errorf("entry %d of the ledger can't be read by this version (upgrade this node): %w", l.Index, err)
		m.trip(m.broken)
		return []outcome{{err: m.broken}}
	}
	out := make([]outcome, len(items))
	changed := map[*space]bool{}
	for i, c := range commands {
		s := m.space(items[i].Space)
		next, err := arbiter.Apply(s.record, c)
		refusal, refused := errors.AsType[*arbiter.Refusal](err)
		if err != nil && !refused {
			panic(fmt.Sprintf("raftnode: apply %v at %d: %v", c, l.Index, err)) // Apply only refuses
		}
		if node := c.Actor(); next.Nodes[node] != s.record.Nodes[node] {
			s.beats[node] = m.when(l)
		}
		s.record = next
		changed[s], out[i].Refusal = true, refusal
	}
	for s := range changed {
		s.record.Index = l.Index
		s.feed.Agreed(s.record)
	}
	for i := range out {
		out[i].Record = m.spaces[items[i].Space].record
	}
	return out
}

func encodeEntry(items ...item) ([]byte, error) {
	b, err := json.Marshal(items)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return b, nil
}

// decodeEntry reads all or nothing.
func decodeEntry(b []byte) ([]item, []arbiter.Command, error) {
	var items []item
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a newer program's; this one must not apply half of it
	if err := d.Decode(&items); err != nil {
		return nil, nil, err
	}
	var commands []arbiter.Command
	for _, it := range items {
		c, err := arbiter.Decode(it.Command)
		if err != nil {
			return nil, nil, err
		}
		commands = append(commands, c)
	}
	return items, commands, nil
}

// when is the time of an entry, for people: now, or for one that a restart goes through again, when
// the leader appended it.
func (m *machine) when(l *raft.Log) time.Time {
	if !l.AppendedAt.IsZero() && l.AppendedAt.Before(m.started) {
		return l.AppendedAt
	}
	return time.Now()
}

// space is a cluster's space, made when it's the first time. The lock is held.
func (m *machine) space(name string) *space {
	s := m.spaces[name]
	if s == nil {
		s = &space{feed: wire.OpenFeed(), beats: map[string]time.Time{}}
		m.spaces[name] = s
	}
	return s
}

// current is this cluster's own record.
func (m *machine) current() arbiter.Record { return m.in(own) }

// in is the record of a space.
func (m *machine) in(name string) arbiter.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.space(name).record
}

// feed is where a space's records go.
func (m *machine) feed(name string) *wire.Feed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.space(name).feed
}

// image is a snapshot on disk: every space's record.
type image struct {
	Format int                       `json:"format"`
	Spaces map[string]arbiter.Record `json:"spaces"`
}

const imageFormat = 2

// Snapshot implements raft.FSM. Records are values, so the image needs no deep copy.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	img := image{Format: imageFormat, Spaces: map[string]arbiter.Record{}}
	for name, s := range m.spaces {
		if s.record.Index > 0 {
			img.Spaces[name] = s.record
		}
	}
	return img, nil
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
	for name, s := range m.spaces {
		if _, kept := img.Spaces[name]; !kept {
			s.record = arbiter.Record{}
		}
	}
	for name, r := range img.Spaces {
		s := m.space(name)
		s.record = r
		s.feed.Agreed(r)
	}
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

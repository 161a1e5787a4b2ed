package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/solevip/solevip/arbiter"
)

// memory is what a node remembers of the ledger over a restart: Dir/etcd.json.
type memory struct {
	Format   int              `json:"format"`
	Ledger   string           `json:"ledger"` // its id
	Cluster  string           `json:"cluster"`
	Prefix   string           `json:"prefix"`
	Revision int64            `json:"revision"`
	Base     uint64           `json:"base,omitempty"`
	Created  map[string]int64 `json:"created"` // the revision that created each node's key
	Record   arbiter.Record   `json:"record"`  // without fences
}

const (
	memoryFormat = 1
	memoryFile   = "etcd.json"
)

// view is the memory as far as it can be held against what etcd shows.
func (m memory) view() *view {
	v := &view{rev: m.Revision, meta: meta{ID: m.Ledger, Base: m.Base}, keys: map[string]stamp{}, record: m.Record}
	for name, at := range m.Created {
		v.keys[nodeKey(name)] = stamp{created: at}
	}
	return v
}

func memoryOf(v *view, o *Options) memory {
	m := memory{
		Format: memoryFormat, Ledger: v.meta.ID, Cluster: o.Cluster, Prefix: o.Prefix, Revision: v.rev, Base: v.meta.Base,
		Created: map[string]int64{}, Record: v.record,
	}
	m.Record.Fences = nil
	for key, s := range v.keys {
		if name, isNode := strings.CutPrefix(key, nodePrefix); isNode {
			m.Created[name] = s.created
		}
	}
	return m
}

// recall reads what the node remembers; nil when it has no memory.
func recall(o *Options) (*view, error) {
	path := filepath.Join(o.Dir, memoryFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("memory of the ledger: %w", err)
	}
	var m memory
	if err := decode(b, &m); err != nil || m.Format != memoryFormat || m.Ledger == "" {
		return nil, fmt.Errorf("memory of the ledger: %s can't be read (format %d, want %d): %w; if you are sure that etcd was not restored, remove it", path, m.Format, memoryFormat, errors.Join(err, errUnreadable))
	}
	if m.Cluster != o.Cluster || m.Prefix != o.Prefix {
		return nil, fmt.Errorf("memory of the ledger: %s is of cluster %q at %s, not of %q at %s: give each its own state directory, or remove it", path, m.Cluster, m.Prefix, o.Cluster, o.Prefix)
	}
	return m.view(), nil
}

var errUnreadable = errors.New("not a memory that this version wrote")

// keep writes the memory so that a crash leaves the old one or the new one.
func (m memory) keep(dir string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("memory of the ledger: %w", err)
	}
	f, err := os.CreateTemp(dir, memoryFile+".*")
	if err != nil {
		return fmt.Errorf("memory of the ledger: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, memoryFile))
	}
	if err != nil {
		return fmt.Errorf("memory of the ledger: %w", errors.Join(err, os.Remove(f.Name())))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("memory of the ledger: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// contradicts says what a ledger, read linearizably after v was known, lacks of it; "" when it can
// be the same one, later. v may be nil: nothing was known.
func (v *view) contradicts(now *view) string {
	switch {
	case v == nil || !v.formed():
	case !now.formed():
		return fmt.Sprintf("etcd has no ledger %s any more", v.meta.ID)
	case now.meta.ID != v.meta.ID && !slices.Contains(now.meta.Replaces, v.meta.ID):
		return fmt.Sprintf("etcd has ledger %s, this node knew %s", now.meta.ID, v.meta.ID)
	case now.meta.ID == v.meta.ID && now.rev < v.rev:
		return fmt.Sprintf("etcd is at revision %d, after %d", now.rev, v.rev)
	}
	if etcd := fmt.Sprintf("%x", now.etcd); now.formed() && now.meta.Etcd != etcd {
		return fmt.Sprintf("this is etcd cluster %s, and the ledger was made on %s", etcd, now.meta.Etcd)
	}
	if v == nil {
		return ""
	}
	for name, g := range v.record.Groups {
		if is := now.record.Groups[name].Epoch; is < g.Epoch {
			return fmt.Sprintf("group %s is at epoch %d, after %d", name, is, g.Epoch)
		}
	}
	if now.meta.ID != v.meta.ID {
		return ""
	}
	return v.olderNode(now)
}

// olderNode looks for beats that were forgotten. A node's key that was made anew, after the node was
// cleaned away, counts anew.
func (v *view) olderNode(now *view) string {
	for name, n := range v.record.Nodes {
		was, is := v.keys[nodeKey(name)], now.keys[nodeKey(name)]
		if is.created < was.created && is.created > 0 || is.created == was.created && now.record.Nodes[name].Beat < n.Beat {
			return fmt.Sprintf("node %s is at beat %d, after %d", name, now.record.Nodes[name].Beat, n.Beat)
		}
	}
	return ""
}

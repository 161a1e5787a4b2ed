package etcd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/solevip/solevip/arbiter"
)

// view is the ledger as etcd had it at one revision. Views are values: a merge makes a new one.
type view struct {
	etcd   uint64 // the etcd cluster's id
	rev    int64
	meta   meta // zero when there is none
	keys   map[string]stamp
	fences []uint64          // the numbers of record.Fences, ascending
	shared map[string]string // what becomes of record.Nodes' Shared
	record arbiter.Record
}

// stamp is what etcd says of a key.
type stamp struct {
	created, mod int64
	ops          []string // the newest operations that wrote it, newest first
}

func (v *view) formed() bool { return v.meta.ID != "" }

// index orders views, also those of a ledger before and after a confirmation.
func (v *view) index() uint64 {
	if v == nil {
		return 0
	}
	return v.meta.Base + uint64(v.rev)
}

// changed is the revision of the newest change to the ledger itself.
func (v *view) changed() int64 {
	var newest int64
	for _, s := range v.keys {
		newest = max(newest, s.mod)
	}
	return newest
}

// bears says whether an operation is among the newest writers of any of the keys.
func (v *view) bears(op string, keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(v.keys[k].ops, op) })
}

// change is one key's new value, or its end.
type change struct {
	key     string // relative
	kv      *mvccpb.KeyValue
	deleted bool
}

// changesOf strips the ledger's prefix.
func changesOf(prefix string, kvs []*mvccpb.KeyValue) []change {
	var out []change
	for _, kv := range kvs {
		out = append(out, change{key: strings.TrimPrefix(string(kv.Key), prefix), kv: kv})
	}
	return out
}

// empty is the ledger without a key.
func empty(cluster uint64, rev int64) *view { return &view{etcd: cluster, rev: rev} }

// merge returns the view with changes, at a later revision. An error names the key that can't be
// understood.
func (v *view) merge(changes []change, rev int64) (*view, error) {
	next := *v
	next.rev, next.keys, next.fences = rev, maps.Clone(v.keys), slices.Clone(v.fences)
	next.shared = maps.Clone(v.shared)
	if next.keys == nil {
		next.keys = map[string]stamp{}
	}
	r := &next.record
	r.Nodes, r.Groups, r.Fences = maps.Clone(r.Nodes), maps.Clone(r.Groups), slices.Clone(r.Fences)
	r.Devices = maps.Clone(r.Devices)
	for _, c := range changes {
		var err error
		if c.deleted {
			err = next.remove(c.key)
		} else {
			err = next.put(c.key, c.kv)
		}
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", c.key, err)
		}
	}
	r.Index = next.index()
	return &next, nil
}

func (v *view) put(key string, kv *mvccpb.KeyValue) error {
	s := stamp{created: kv.CreateRevision, mod: kv.ModRevision}
	r := &v.record
	switch {
	case key == metaKey:
		var m meta
		if err := decode(kv.Value, &m); err != nil {
			return err
		}
		if m.Schema != schema || m.ID == "" {
			return fmt.Errorf("schema %d, id %q: this version reads schema %d", m.Schema, m.ID, schema)
		}
		v.meta, s.ops = m, []string{m.Op}
	case strings.HasPrefix(key, nodePrefix):
		var n nodeValue
		if err := decode(kv.Value, &n); err != nil {
			return err
		}
		if r.Nodes == nil {
			r.Nodes = map[string]arbiter.Node{}
		}
		name := key[len(nodePrefix):]
		n.Shared = v.shared[name]
		r.Nodes[name], s.ops = n.Node, n.Ops
	case strings.HasPrefix(key, sharedPrefix):
		var f sharedValue
		if err := decode(kv.Value, &f); err != nil {
			return err
		}
		v.share(key[len(sharedPrefix):], f.Shared)
		s.ops = f.Ops
	case strings.HasPrefix(key, groupPrefix):
		var g groupValue
		if err := decode(kv.Value, &g); err != nil {
			return err
		}
		if r.Groups == nil {
			r.Groups = map[string]arbiter.Group{}
		}
		r.Groups[key[len(groupPrefix):]], s.ops = g.Group, g.Ops
	case strings.HasPrefix(key, fencePrefix):
		var f fenceValue
		if err := decode(kv.Value, &f); err != nil {
			return err
		}
		if err := v.putFence(key, f.Fence); err != nil {
			return err
		}
		s.ops = f.Ops
	case key == maintenanceKey:
		var m maintenanceValue
		if err := decode(kv.Value, &m); err != nil {
			return err
		}
		r.Maintenance, s.ops = m.Maintenance, m.Ops
	case strings.HasPrefix(key, devicePrefix):
		var d deviceValue
		if err := decode(kv.Value, &d); err != nil {
			return err
		}
		if r.Devices == nil {
			r.Devices = map[string]map[string]arbiter.Device{}
		}
		r.Devices[key[len(devicePrefix):]], s.ops = d.Devices, d.Ops
	default:
		return fmt.Errorf("not part of the ledger's layout, schema %d", schema)
	}
	v.keys[key] = s
	return nil
}

// share notes what a node said of its file, also when the node's own key comes later.
func (v *view) share(node, text string) {
	if v.shared == nil {
		v.shared = map[string]string{}
	}
	v.shared[node] = text
	if n, known := v.record.Nodes[node]; known {
		n.Shared = text
		v.record.Nodes[node] = n
	}
}

func (v *view) putFence(key string, f arbiter.Fence) error {
	n, err := fenceNumber(key)
	if err != nil {
		return err
	}
	i, found := slices.BinarySearch(v.fences, n)
	if found {
		v.record.Fences[i] = f
		return nil
	}
	v.fences = slices.Insert(v.fences, i, n)
	v.record.Fences = slices.Insert(v.record.Fences, i, f)
	return nil
}

func (v *view) remove(key string) error {
	if _, known := v.keys[key]; !known {
		return nil
	}
	delete(v.keys, key)
	switch {
	case key == metaKey:
		v.meta = meta{}
	case strings.HasPrefix(key, nodePrefix):
		delete(v.record.Nodes, key[len(nodePrefix):])
	case strings.HasPrefix(key, sharedPrefix):
		v.share(key[len(sharedPrefix):], "")
	case strings.HasPrefix(key, groupPrefix):
		delete(v.record.Groups, key[len(groupPrefix):])
	case key == maintenanceKey:
		v.record.Maintenance = arbiter.Maintenance{}
	case strings.HasPrefix(key, devicePrefix):
		delete(v.record.Devices, key[len(devicePrefix):])
	case strings.HasPrefix(key, fencePrefix):
		n, err := fenceNumber(key)
		if err != nil {
			return err
		}
		if i, found := slices.BinarySearch(v.fences, n); found {
			v.fences, v.record.Fences = slices.Delete(v.fences, i, i+1), slices.Delete(v.record.Fences, i, i+1)
		}
	}
	return nil
}

package etcd

import (
	"fmt"
	"maps"
	"slices"

	"github.com/solevip/solevip/arbiter"
)

// difference is what turns one record into another, as keys.
type difference struct {
	puts    map[string]string // relative key: value
	deletes []string
}

// written are the keys that were put.
func (d difference) written() []string { return slices.Sorted(maps.Keys(d.puts)) }

// difference says what to write so that the view's record becomes next, which arbiter.Apply made of
// it. Apply removes no node and no group.
func (v *view) difference(next arbiter.Record, op string) difference {
	d := difference{puts: map[string]string{}}
	for name, n := range next.Nodes {
		was, known := v.record.Nodes[name]
		if was.Shared != n.Shared {
			d.puts[sharedKey(name)] = encode(sharedValue{n.Shared, v.trail(sharedKey(name), op)})
		}
		was.Shared, n.Shared = "", ""
		if !known || was != n {
			d.puts[nodeKey(name)] = encode(nodeValue{n, v.trail(nodeKey(name), op)})
		}
	}
	for name, g := range next.Groups {
		if was, known := v.record.Groups[name]; !known || was != g {
			d.puts[groupKey(name)] = encode(groupValue{g, v.trail(groupKey(name), op)})
		}
	}
	if next.Maintenance != v.record.Maintenance {
		d.puts[maintenanceKey] = encode(maintenanceValue{next.Maintenance, v.trail(maintenanceKey, op)})
	}
	for node, devices := range next.Devices {
		if !maps.Equal(v.record.Devices[node], devices) {
			d.puts[deviceKey(node)] = encode(deviceValue{devices, v.trail(deviceKey(node), op)})
		}
	}
	v.fenceDifference(next.Fences, op, &d)
	return d
}

// fenceDifference walks the old and the new fences side by side. A command replaces an open fence of
// the same node in its place, appends, and forgets finished ones.
func (v *view) fenceDifference(fences []arbiter.Fence, op string, d *difference) {
	rest := fences
	for i, was := range v.record.Fences {
		key := fenceKey(v.fences[i])
		switch {
		case len(rest) > 0 && rest[0] == was:
			rest = rest[1:]
		case len(rest) > 0 && was.State == arbiter.FenceOpen && was.Target.Node == rest[0].Target.Node:
			d.puts[key] = encode(fenceValue{rest[0], v.trail(key, op)})
			rest = rest[1:]
		case was.State == arbiter.FenceOpen:
			panic(fmt.Sprintf("etcd: a command forgot the open fence %+v", was))
		default:
			d.deletes = append(d.deletes, key)
		}
	}
	n := uint64(0)
	if len(v.fences) > 0 {
		n = v.fences[len(v.fences)-1]
	}
	for _, f := range rest {
		n++
		d.puts[fenceKey(n)] = encode(fenceValue{f, v.trail(fenceKey(n), op)})
	}
}

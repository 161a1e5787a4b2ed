package etcd

import (
	"fmt"
	"slices"

	"github.com/solevip/solevip/arbiter"
)

// needs are the keys that a command's outcome depends on: what it writes and whether it is refused
// stay the same as long as these do, whatever else changes. They are the conditions of its
// transaction.
type needs struct {
	keys   []string // single keys, also such as don't exist
	groups bool     // every group
	fences bool     // every fence
}

// ranges says that more than single keys are needed. A range holds no more than that nothing in it
// is newer than a revision, so what is compared must have been read, not watched.
func (n needs) ranges() bool { return n.groups || n.fences }

func (n *needs) nodes(names ...string) {
	for _, name := range names {
		n.add(name, nodeKey(name))
	}
}

// devices are the fence devices of a node.
func (n *needs) devices(node string) { n.add(node, deviceKey(node)) }

func (n *needs) group(name string) { n.add(name, groupKey(name)) }

func (n *needs) add(name, key string) {
	if name != "" && !slices.Contains(n.keys, key) {
		n.keys = append(n.keys, key)
	}
}

// needsOf reads off arbiter.Apply what a command looks at. Every command needs the key of the node
// in whose name it acts (whether that boot may act at all), and meta: nothing proposed before a
// confirmation is agreed after it.
func needsOf(r arbiter.Record, c arbiter.Command) needs {
	n := needs{keys: []string{metaKey}}
	n.nodes(c.Actor())
	switch c := c.(type) {
	case arbiter.Beat:
	case arbiter.Register: // the node's former boots are cleared everywhere
		n.add(c.Actor(), sharedKey(c.Actor()))
		n.groups, n.fences = true, true
	case arbiter.Take:
		n.group(c.Group)
		n.nodes(r.Groups[c.Group].Holder.Node)
	case arbiter.Release:
		n.group(c.Group)
	case arbiter.Clear:
		if c.Evidence != arbiter.PowerOffVerified {
			n.group(c.Group)
			break
		}
		n.nodes(c.Suspect.Node)
		n.groups, n.fences = true, true
	case arbiter.Intent:
		n.group(c.Group)
		n.fences = true
		if f, open := r.OpenFence(c.Suspect.Node); open {
			n.nodes(f.By.Node)
			n.group(f.Group)
		}
	case arbiter.Report:
		n.fences = true
	case arbiter.Attest:
		n.nodes(c.Target.Node)
		n.groups, n.fences = true, true
	case arbiter.Order:
		n.nodes(c.Target.Node)
		n.groups, n.fences = true, true
		if f, open := r.OpenFence(c.Target.Node); open {
			n.nodes(f.By.Node)
		}
	case arbiter.Maintain:
		n.add("maintenance", maintenanceKey)
	case arbiter.Unfence:
		n.nodes(c.Target.Node)
		n.fences = true
	case arbiter.Identify:
		n.devices(c.Target)
	case arbiter.Move:
		n.group(c.Group)
		n.nodes(c.To)
	default:
		panic(fmt.Sprintf("etcd: command %T has no needs", c))
	}
	return n
}

// repeatable says that a command twice in the ledger is as good as once.
func repeatable(c arbiter.Command) bool {
	switch c.(type) {
	case arbiter.Beat, arbiter.Register:
		return true
	}
	return false
}

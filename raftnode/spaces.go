package raftnode

import (
	"maps"
	"slices"
	"time"
)

// Space is another cluster whose ledger these nodes keep, as this node sees it.
type Space struct {
	Cluster string
	Nodes   []SpaceNode
}

// SpaceNode is a node of such a cluster.
type SpaceNode struct {
	Name   string
	Boot   string
	Age    time.Duration // since its beat was seen to change; -1 when it wasn't since this node started
	Fenced bool
	Holds  []string // groups
}

// Spaces are the clusters whose ledger these nodes keep, besides their own, by name.
func (n *Node) Spaces() []Space { return n.fsm.guests(time.Now()) }

func (m *machine) guests(now time.Time) []Space {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Space
	for _, name := range slices.Sorted(maps.Keys(m.spaces)) {
		s := m.spaces[name]
		if name == own || s.record.Index == 0 {
			continue
		}
		g := Space{Cluster: name}
		for _, node := range slices.Sorted(maps.Keys(s.record.Nodes)) {
			known := s.record.Nodes[node]
			x := SpaceNode{Name: node, Boot: known.Boot.Kernel + "/" + known.Boot.Incarnation, Fenced: known.Fenced, Age: -1}
			if at, seen := s.beats[node]; seen {
				x.Age = max(0, now.Sub(at))
			}
			for _, group := range slices.Sorted(maps.Keys(s.record.Groups)) {
				if s.record.Groups[group].Holder.Node == node {
					x.Holds = append(x.Holds, group)
				}
			}
			g.Nodes = append(g.Nodes, x)
		}
		out = append(out, g)
	}
	return out
}

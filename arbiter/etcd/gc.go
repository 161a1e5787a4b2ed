package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/solevip/solevip/arbiter"
)

// Leftovers are what a clean-up found of nodes and groups that the configuration doesn't name.
type Leftovers struct {
	Removed []string // "node db3", "group mysql"
	Kept    []string // with the reason
}

// GC removes what the ledger has of nodes and groups other than those named. What still matters to
// somebody's safety stays, and is told with the reason: a node that is a group's holder or suspect
// or is fencing, and a group that has a holder or suspect.
//
// Of a group its epoch stays, so that a group of that name never gives out a token twice.
func (l *Ledger) GC(ctx context.Context, nodes, groups []string) (Leftovers, error) {
	for {
		v, err := l.read(ctx)
		if err != nil {
			return Leftovers{}, fmt.Errorf("clean the ledger: %w", notProposed(err))
		}
		found, d := leftovers(v, nodes, groups, l.operation())
		if len(d.puts)+len(d.deletes) == 0 {
			return found, nil
		}
		t := transaction{base: v, needs: needs{keys: []string{metaKey}, groups: true, fences: true}, difference: d}
		t.keys = append(t.keys, d.deletes...)
		if len(t.keys) > maxOps {
			return Leftovers{}, fmt.Errorf("clean the ledger: %d nodes are too many at once: %w", len(d.deletes), ErrNotProposed)
		}
		got, err := l.sendOnce(ctx, &t, v.rev)
		if err != nil {
			return Leftovers{}, fmt.Errorf("clean the ledger: outcome unknown, run it again: %w", err)
		}
		if got.Succeeded {
			if _, err := l.fetch(ctx); err != nil {
				l.log.Warn("the cleaned ledger wasn't read yet", "err", err)
			}
			return found, nil
		}
	}
}

// leftovers says what to remove, and what not.
func leftovers(v *view, nodes, groups []string, op string) (Leftovers, difference) {
	found, d := Leftovers{}, difference{puts: map[string]string{}}
	for name, g := range v.record.Groups {
		bare := arbiter.Group{Epoch: g.Epoch}
		switch {
		case slices.Contains(groups, name) || g == bare:
		case !g.Holder.IsZero():
			found.Kept = append(found.Kept, fmt.Sprintf("group %s: %v holds it; stop it there first, with the group in its configuration", name, g.Holder))
		case !g.Suspect.IsZero():
			found.Kept = append(found.Kept, fmt.Sprintf("group %s: %v may still have it up; let it release it, or fence it", name, g.Suspect))
		default:
			found.Removed = append(found.Removed, "group "+name)
			d.puts[groupKey(name)] = encode(groupValue{bare, v.trail(groupKey(name), op)})
		}
	}
	for name := range v.record.Nodes {
		if slices.Contains(nodes, name) {
			continue
		}
		if why := inUse(v.record, name); why != "" {
			found.Kept = append(found.Kept, fmt.Sprintf("node %s: %s", name, why))
			continue
		}
		found.Removed = append(found.Removed, "node "+name)
		d.deletes = append(d.deletes, nodeKey(name))
	}
	for key := range v.keys { // what else there is of nodes that are gone by then
		name, of := strings.CutPrefix(key, sharedPrefix)
		if !of {
			name, of = strings.CutPrefix(key, devicePrefix)
		}
		_, stays := v.record.Nodes[name]
		if of && !slices.Contains(nodes, name) && (!stays || slices.Contains(d.deletes, nodeKey(name))) {
			d.deletes = append(d.deletes, key)
		}
	}
	slices.Sort(found.Removed)
	slices.Sort(found.Kept)
	slices.Sort(d.deletes)
	return found, d
}

// inUse says why a node can't be forgotten.
func inUse(r arbiter.Record, node string) string {
	var of []string
	for name, g := range r.Groups {
		if g.Holder.Node == node || g.Suspect.Node == node {
			of = append(of, name)
		}
	}
	if len(of) > 0 {
		slices.Sort(of)
		return "it holds, or may still have up: " + strings.Join(of, ", ")
	}
	for _, f := range r.Fences {
		if f.State == arbiter.FenceOpen && (f.By.Node == node || f.Target.Node == node) {
			return fmt.Sprintf("%v is fencing %v", f.By, f.Target)
		}
	}
	return ""
}

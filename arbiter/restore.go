package arbiter

import "maps"

// restoreLeap is added to every epoch of a restored ledger: more changes of holder than there can
// have been since the backup, so that no epoch is given out twice (G4).
const restoreLeap = 1 << 32

// Restored is the ledger that may be built on a backup, which is older than what it is a backup of.
// Nothing is free in it that may be held: whoever held a group, or held it last, is its suspect, and
// is cleared by its own word, a new boot, or a fence. Epochs begin beyond any that was given out.
func Restored(r Record) Record {
	out := Record{Index: r.Index, Nodes: maps.Clone(r.Nodes), Groups: map[string]Group{}, Fences: append([]Fence{}, r.Fences...)}
	for name, g := range r.Groups {
		switch {
		case !g.Suspect.IsZero(): // a holder that was never cleared never had it up
		case !g.Holder.IsZero():
			g.Suspect = g.Holder
		default: // it may have taken it again since the backup
			g.Suspect = r.Nodes[g.Previous].Boot
		}
		if !g.Holder.IsZero() {
			g.Previous = g.Holder.Node
		}
		g.Holder, g.Next, g.Evidence, g.Protection = Boot{}, "", "", ProtectFence
		g.Epoch += restoreLeap
		out.Groups[name] = g
	}
	for i, f := range out.Fences {
		if f.State == FenceOpen {
			out.Fences[i].State, out.Fences[i].Outcome, out.Fences[i].Detail = FenceFailed, "unknown", "the ledger was restored from a backup before the fence had a result"
		}
	}
	return out
}

package arbiter

import "fmt"

// Order is an operator's intent to cut a node's power. Like an [Intent] it opens a fence, so that
// one node shoots, once, and everybody can read who ordered it. A node that holds a group must have
// stood still since it was seen, unless the operator spelt out that it is to be shot nevertheless.
type Order struct {
	Boot     Boot   `json:"boot"` // the fencer
	Target   Boot   `json:"target"`
	Seen     uint64 `json:"seen"` // the target's beat
	Force    bool   `json:"force,omitempty"`
	Rival    Rival  `json:"rival,omitzero"`
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
	At       int64  `json:"at,omitempty"`
}

// Unfence lets a node that came back after a fence hold groups again, where it was registered to
// wait for that.
type Unfence struct {
	Node     string `json:"node"` // the node whose daemon the operator asked
	Target   Boot   `json:"target"`
	Operator string `json:"operator"`
	At       int64  `json:"at,omitempty"`
}

// Actor is the node in whose name the command acts.
func (c Order) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Unfence) Actor() string { return c.Node }

func (c Order) String() string {
	return fmt.Sprintf("order of %s that %v fences %v", c.Operator, c.Boot, c.Target)
}

func (c Unfence) String() string { return fmt.Sprintf("unfence %v for %s", c.Target, c.Operator) }

func (c Order) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	n := r.Nodes[c.Target.Node]
	switch {
	case c.Operator == "" || c.Reason == "":
		return r, refuse(Unacceptable, "an order to fence needs an operator and a reason")
	case c.Target.Node == c.Boot.Node:
		return r, refuse(Unacceptable, "%s can't fence itself", c.Boot.Node)
	case c.Target.IsZero() || n.Boot != c.Target:
		return r, refuse(Stale, "%v is not the newest boot of %s (%v is)", c.Target, c.Target.Node, n.Boot)
	case n.Fenced:
		return r, refuse(FencedBoot, "%v was declared dead before", c.Target)
	case !c.Force && n.Beat != c.Seen && r.holder(c.Target):
		return r, refuse(Stale, "%v holds a group and beat after it was seen at %d (now %d): it is healthy", c.Target, c.Seen, n.Beat)
	}
	if f, open := r.OpenFence(c.Target.Node); open && r.underway(f, c.Boot, "", c.Rival) {
		return r, refuse(Busy, "%v is fencing %v", f.By, f.Target)
	}
	return r.withFence(Fence{Target: c.Target, By: c.Boot, State: FenceOpen, Operator: c.Operator, Reason: c.Reason, At: c.At}), nil
}

// holder reports whether a boot holds any group.
func (r Record) holder(b Boot) bool {
	for _, g := range r.Groups {
		if g.Holder == b {
			return true
		}
	}
	return false
}

func (c Unfence) apply(r Record) (Record, error) {
	n := r.Nodes[c.Target.Node]
	_, open := r.OpenFence(c.Target.Node)
	switch {
	case c.Operator == "":
		return r, refuse(Unacceptable, "to unfence a node needs an operator")
	case c.Target.IsZero() || n.Boot != c.Target:
		return r, refuse(Stale, "%v is not the newest boot of %s (%v is)", c.Target, c.Target.Node, n.Boot)
	case n.Fenced:
		return r, refuse(FencedBoot, "%v was declared dead: start the machine; its new boot can be unfenced", c.Target)
	case !n.Barred:
		return r, refuse(Unacceptable, "%s may hold groups already", c.Target.Node)
	case open:
		return r, refuse(Busy, "%s is being fenced", c.Target.Node)
	}
	n.Barred = false
	r = r.withNode(c.Target.Node, n)
	return r.withFence(Fence{Target: c.Target, By: Boot{Node: c.Node}, State: FenceLifted, Operator: c.Operator, At: c.At}), nil
}

// dropOrders closes the orders that an earlier process of a boot left open: nobody carries them out
// any more.
func (r Record) dropOrders(by Boot) Record {
	for _, f := range r.Fences {
		if f.State == FenceOpen && f.By == by && f.Group == "" {
			f.State, f.Outcome, f.Detail = FenceFailed, "unknown", "the fencer's daemon was restarted before the fence had a result"
			r = r.withFence(f)
		}
	}
	return r
}

// Package arbiter is the ledger: the replicated record of which boot holds which group, which
// boot may still have its addresses up, and why a former holder is known to be harmless.
//
// It owns the words ([Record], [Boot], [Evidence]), the commands, and what each does ([Apply]).
// It has no clock: a command compares and sets, so every Raft replica and an etcd transaction
// give the same answer. Nothing in it expires; nodes judge each other by the change that they
// watched on their own clock (package claim) and quote what they saw, so that one beat in between
// makes a command stale. How the ledger is stored and agreed is for raftnode and arbiter/etcd.
package arbiter

import (
	"fmt"
	"maps"
	"slices"
)

// Boot is one life of a node: the kernel's boot id and a random incarnation of the daemon's
// state directory. Two equal boots are the same life: the lock on the state directory guarantees
// that a restarted daemon's former self is gone. Two boots of a node with different kernels are
// different lives of the machine, so the older one is over. With the same kernel but another
// incarnation (the state directory was lost, or there are two) nothing is known.
type Boot struct {
	Node        string `json:"node,omitempty"`
	Kernel      string `json:"kernel,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
}

// IsZero reports whether the boot names nobody.
func (b Boot) IsZero() bool { return b == Boot{} }

// String is the node with the first eight characters of kernel and incarnation, for logs.
func (b Boot) String() string {
	if b.IsZero() {
		return "nobody"
	}
	return fmt.Sprintf("%s/%.8s.%.8s", b.Node, b.Kernel, b.Incarnation)
}

// Evidence says why a suspect is harmless.
type Evidence string

// The kinds of evidence. Expired is weaker than the others: it says that the suspect's time was
// up and that its kernel had let go, and only [ProtectLease] accepts it.
const (
	Released         Evidence = "released"
	PowerOffVerified Evidence = "power-off-verified"
	NewBoot          Evidence = "new-boot"
	WatchdogAssumed  Evidence = "watchdog-assumed"
	OperatorAttested Evidence = "operator-attested"
	Expired          Evidence = "expired"
)

// Protection is what a group demands before a claim.
type Protection string

// The protections, weakest first. Groups under ProtectVRRP are never in the ledger.
const (
	ProtectVRRP  Protection = "vrrp"
	ProtectLease Protection = "lease"
	ProtectFence Protection = "fence"
)

// Node is what the ledger knows of a node: its newest boot and the beats that it committed.
type Node struct {
	Boot Boot `json:"boot"`
	// Beat counts the registrations, beats and takes of all boots of this node; it never goes back, so
	// an unchanged number means that nothing was renewed in between.
	Beat uint64 `json:"beat"`
	// Fenced is set when Boot was proved or attested dead. A fenced boot may do nothing more.
	Fenced bool `json:"fenced,omitempty"`
	// Barred is set when the node came back after a fence and was registered to wait for an
	// operator: until [Unfence] it takes no group.
	Barred bool `json:"barred,omitempty"`
	// Shared is what Boot's registration said of its file: for people, never acted on.
	Shared string `json:"shared,omitempty"`
}

// Group is who holds a group of addresses.
type Group struct {
	// Epoch counts the changes of holder: the fencing token (G4). It never goes back.
	Epoch uint64 `json:"epoch"`
	// Holder is the boot that took the newest epoch; zero when nobody holds the group.
	Holder Boot `json:"holder,omitzero"`
	// Suspect is the one boot besides the holder that may still have the addresses up. One is
	// enough: a holder that was never cleared never bound (package claim), so taking from it
	// adds no second suspect.
	Suspect Boot `json:"suspect,omitzero"`
	// Protection is the strongest demanded since the last time there was no suspect: what a
	// suspect was taken under can't be weakened by editing the file.
	Protection Protection `json:"protection,omitempty"`
	// Accept is which evidence suffices: what was accepted by everybody who held or took it since
	// the last time there was no suspect.
	Accept Accept `json:"accept,omitempty"`
	// Previous is the node that last held the group before Holder.
	Previous string `json:"previous,omitempty"`
	// Evidence is why the last suspect is harmless.
	Evidence Evidence `json:"evidence,omitempty"`
	// Next is the node that a planned move is for; empty when none is asked for.
	Next string `json:"next,omitempty"`
}

// FenceState is how far a fence has come.
type FenceState string

// A fence is open from its intent until its result. Lifted is the entry of an [Unfence].
const (
	FenceOpen   FenceState = "open"
	FenceOff    FenceState = "off"
	FenceFailed FenceState = "failed"
	FenceLifted FenceState = "lifted"
)

// Fence is one intent to cut a boot's power and what came of it, or an operator's word.
type Fence struct {
	Target   Boot       `json:"target"`
	By       Boot       `json:"by"`
	Group    string     `json:"group,omitempty"`
	Epoch    uint64     `json:"epoch,omitempty"`
	State    FenceState `json:"state"`
	Method   string     `json:"method,omitempty"`
	Outcome  string     `json:"outcome,omitempty"` // off, not-off, unknown
	Evidence Evidence   `json:"evidence,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	// Operator ordered it, for Reason; both are empty when the rule did.
	Operator string `json:"operator,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// At is the proposer's wall clock in Unix milliseconds: for people, never compared.
	At int64 `json:"at,omitempty"`
}

// fenceHistory is how many finished fences the ledger keeps.
const fenceHistory = 64

// Record is the whole ledger of a cluster. Records are values: [Apply] returns a new one and
// leaves the old as it was, so they may be shared and compared freely.
type Record struct {
	// Index grows with every command that was agreed; a larger index is a newer record.
	Index  uint64           `json:"index"`
	Nodes  map[string]Node  `json:"nodes,omitempty"`
	Groups map[string]Group `json:"groups,omitempty"`
	Fences []Fence          `json:"fences,omitempty"` // oldest first
	// Devices is whose power the fence devices of each node cut, by node and device.
	Devices map[string]map[string]Device `json:"devices,omitempty"`
	// Maintenance holds automatic shots back.
	Maintenance Maintenance `json:"maintenance,omitzero"`
}

// OpenFence returns the fence of a node that has an intent and no result yet.
func (r Record) OpenFence(node string) (Fence, bool) {
	for _, f := range r.Fences {
		if f.State == FenceOpen && f.Target.Node == node {
			return f, true
		}
	}
	return Fence{}, false
}

// Current reports whether a boot is its node's registered one and may act.
func (r Record) Current(b Boot) bool {
	n := r.Nodes[b.Node]
	return !b.IsZero() && n.Boot == b && !n.Fenced
}

// Involves reports whether a boot holds a group or is a group's suspect.
func (r Record) Involves(b Boot) bool {
	for _, g := range r.Groups {
		if !b.IsZero() && (g.Holder == b || g.Suspect == b) {
			return true
		}
	}
	return false
}

// with returns the record with one node replaced.
func (r Record) withNode(name string, n Node) Record {
	r.Nodes = maps.Clone(r.Nodes)
	if r.Nodes == nil {
		r.Nodes = map[string]Node{}
	}
	r.Nodes[name] = n
	return r
}

// withGroup returns the record with one group replaced.
func (r Record) withGroup(name string, g Group) Record {
	r.Groups = maps.Clone(r.Groups)
	if r.Groups == nil {
		r.Groups = map[string]Group{}
	}
	r.Groups[name] = g
	return r
}

// withFence returns the record with a fence added or, when one for the same target is open,
// with that one replaced, and the oldest finished ones beyond [fenceHistory] forgotten.
func (r Record) withFence(f Fence) Record {
	r.Fences = slices.Clone(r.Fences)
	open := slices.IndexFunc(r.Fences, func(o Fence) bool {
		return o.State == FenceOpen && o.Target.Node == f.Target.Node
	})
	if open >= 0 {
		r.Fences[open] = f
	} else {
		r.Fences = append(r.Fences, f)
	}
	for len(r.Fences) > fenceHistory {
		oldest := slices.IndexFunc(r.Fences, func(o Fence) bool { return o.State != FenceOpen })
		if oldest < 0 {
			break
		}
		r.Fences = slices.Delete(r.Fences, oldest, oldest+1)
	}
	return r
}

// bury returns the record in which no boot that dead selects holds anything or is suspect any
// more, for the reason given. The groups that it held are free.
func (r Record) bury(dead func(Boot) bool, why Evidence) Record {
	for name, g := range r.Groups {
		if !g.Accept.takes(why) {
			continue
		}
		was := g
		if !g.Holder.IsZero() && dead(g.Holder) {
			g.Previous, g.Holder = g.Holder.Node, Boot{}
			if g.Suspect.IsZero() {
				g.Evidence = why
			}
		}
		if !g.Suspect.IsZero() && dead(g.Suspect) {
			g.Suspect, g.Evidence = Boot{}, why
		}
		if g != was {
			r = r.withGroup(name, g)
		}
	}
	return r
}

// Package api is what a node tells and is told: the Status that `status -o json` prints, the
// requests of operators, the HTTP handler for the control socket, and the client that the
// command uses.
//
// It is a leaf: it knows no other package of the project and reaches into no machine. What serves
// the requests is a [Node], which package daemon implements. Fields are never renamed or removed;
// new ones may come.
package api

import "slices"

// Status is a node's view of its cluster.
type Status struct {
	Node    string    `json:"node"`
	Cluster string    `json:"cluster"`
	Version string    `json:"version"`
	Quorum  bool      `json:"quorum"` // this node reaches a majority of the ledger
	Leader  string    `json:"leader"` // of the ledger; "" when unknown
	Nodes   []Machine `json:"nodes"`
	Groups  []Group   `json:"groups"`
	Fences  []Fence   `json:"fences"`           // newest first
	Served  []Served  `json:"served,omitempty"` // other clusters whose ledger these nodes keep
	// Maintenance holds automatic shots back; null when there is none.
	Maintenance *Maintenance `json:"maintenance,omitempty"`
	Warnings    []string     `json:"warnings,omitempty"` // what an operator should mend
}

// Machine is one machine of the cluster as this node sees it.
type Machine struct {
	Name string `json:"name"`
	Role string `json:"role"` // member, arbiter
	Boot string `json:"boot"`
	// BeatAgeMS is how long ago this node saw its beat change; -1 when it never beat.
	BeatAgeMS int64 `json:"beat_age_ms"`
	Fenced    bool  `json:"fenced"`           // this boot was proved or attested dead
	Barred    bool  `json:"barred,omitempty"` // it came back after a fence and waits to be unfenced
	// FencePathOK says whether the last check of a level of its fence devices succeeded; null when
	// it has none or none was checked yet.
	FencePathOK *bool `json:"fence_path_ok"`
	// Voter says whether it votes in the ledger; null when unknown, or when the ledger is kept elsewhere.
	Voter *bool `json:"voter,omitempty"`
	// FencePaths is the last check of each of its fence devices, from this node.
	FencePaths []FencePath `json:"fence_paths,omitempty"`
}

// Served is another cluster whose ledger these nodes keep, as this node sees it.
type Served struct {
	Cluster string       `json:"cluster"`
	Nodes   []ServedNode `json:"nodes"`
}

// ServedNode is a node of such a cluster.
type ServedNode struct {
	Name      string   `json:"name"`
	Boot      string   `json:"boot"`
	BeatAgeMS int64    `json:"beat_age_ms"` // since this node saw its beat change; -1 when it didn't since it started
	Fenced    bool     `json:"fenced"`
	Holds     []string `json:"holds"` // groups
}

// Group is one group of addresses as this node sees it.
type Group struct {
	Name       string   `json:"name"`
	Protection string   `json:"protection"` // vrrp, lease, fence
	Role       string   `json:"role"`       // of this node: holder, backup, claiming, fault, arbiter
	Holder     string   `json:"holder"`     // node; "" when nobody holds it or, under vrrp, when unknown
	Epoch      uint64   `json:"epoch"`
	Suspect    string   `json:"suspect"`     // node that may still have the addresses up
	DeadlineMS int64    `json:"deadline_ms"` // of this node's lease from now; 0 when it holds nothing
	Reason     string   `json:"reason"`      // the rule that matched, in words
	Addresses  []string `json:"addresses"`
	Evidence   string   `json:"evidence,omitempty"` // why the last suspect is harmless
	Previous   string   `json:"previous,omitempty"` // node that held it before
	Next       string   `json:"next,omitempty"`     // node that a planned move is for
	Up         bool     `json:"up"`                 // the addresses are up on this node
	Checks     []Check  `json:"checks,omitempty"`   // of this node's fitness, in the order of the file
	// Unprotected says why this node could not take the group over from which peers.
	Unprotected []string `json:"unprotected,omitempty"`
}

// Check is a health check of a group on this node.
type Check struct {
	Name   string `json:"name"`
	State  string `json:"state"`            // good, bad, unknown
	Weight int    `json:"weight"`           // 0: bad is a fault
	Reason string `json:"reason,omitempty"` // the last bad answer
}

// Held reports whether some node holds the group with nobody suspected.
func (g Group) Held() bool { return g.Holder != "" && g.Suspect == "" }

// unknown reports whether this node can't know the holder: it hears no adverts of the group, and
// nothing else says who holds it.
func (g Group) unknown() bool { return g.Protection == "vrrp" && g.Role == "arbiter" }

// Fence is one attempt to prove a boot dead.
type Fence struct {
	Target   string `json:"target"`
	Boot     string `json:"boot"`
	By       string `json:"by"`
	Group    string `json:"group,omitempty"`
	Epoch    uint64 `json:"epoch"`
	Method   string `json:"method"`
	Outcome  string `json:"outcome"` // off, not-off, unknown; "" while it is under way
	Evidence string `json:"evidence"`
	Detail   string `json:"detail,omitempty"`
	State    string `json:"state,omitempty"`    // open, off, failed, lifted
	Operator string `json:"operator,omitempty"` // who ordered it
	Reason   string `json:"reason,omitempty"`
	At       string `json:"at"` // RFC 3339, the fencer's wall clock
}

// Exit codes of `solevip status`, by what they say.
const (
	ExitHeld     = 0 // every group is held
	ExitCantTell = 1 // no daemon, no quorum, or no way to know
	ExitNotHeld  = 2 // some group isn't held
	ExitUsage    = 3
)

// ExitCode is the exit code that a status stands for.
func (s Status) ExitCode() int {
	if s.Protected() && !s.Quorum {
		return ExitCantTell
	}
	code := ExitHeld
	for _, g := range s.Groups {
		switch {
		case g.Held():
		case g.unknown():
			code = ExitCantTell
		default:
			return ExitNotHeld
		}
	}
	return code
}

// Protected reports whether any group is in the ledger, or the nodes keep one for other clusters alone.
func (s Status) Protected() bool {
	arbiters := len(s.Nodes) > 0 && !slices.ContainsFunc(s.Nodes, func(m Machine) bool { return m.Role != "arbiter" })
	return arbiters || slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Protection != "vrrp" })
}

// SwitchoverRequest asks that a group move.
type SwitchoverRequest struct {
	Group string `json:"group"`
	To    string `json:"to,omitempty"` // empty: the fittest other member
}

// SwitchoverAnswer is what came of it.
type SwitchoverAnswer struct {
	Group  string `json:"group"`
	From   string `json:"from"`
	To     string `json:"to"`
	Epoch  uint64 `json:"epoch"`
	TookMS int64  `json:"took_ms"`
}

// ConfirmRequest is an operator's word that a node is dead.
type ConfirmRequest struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
}

// The changes of a cluster.
const (
	ClusterAdd    = "add"    // give a node a vote in the ledger
	ClusterRemove = "remove" // take it away
)

// ClusterRequest asks that a node's vote in the ledger be given or taken away.
type ClusterRequest struct {
	Do   string `json:"do"`
	Node string `json:"node"`
}

// ClusterAnswer is what came of it.
type ClusterAnswer struct {
	Do      string   `json:"do"`
	Node    string   `json:"node"`
	Changed bool     `json:"changed"` // false: it was so already
	Voters  []string `json:"voters"`
	Keeps   []string `json:"keeps,omitempty"` // groups that a removed node holds, or may still have up
}

// DeviceCheck is what a fence device said when it was asked for its node's power, without shooting.
type DeviceCheck struct {
	Target string `json:"target"`
	Level  int    `json:"level"` // 1 is tried first
	Device string `json:"device"`
	Power  string `json:"power"` // on, off, unknown
	Error  string `json:"error,omitempty"`
	TookMS int64  `json:"took_ms"`
	// Identity is whose power the device says it cuts; "" when it doesn't know.
	Identity string `json:"identity,omitempty"`
	Recorded string `json:"recorded,omitempty"` // recorded, as recorded, or not recorded
}

package arbiter

import (
	"fmt"
	"time"
)

// Maintenance says whether automatic shots are held back. The ledger has no clock: how long that
// lasts is counted by each node on its own, from when it saw it.
type Maintenance struct {
	// Serial counts the changes, so that a node knows a new one from one that it saw before.
	Serial   uint64 `json:"serial,omitempty"`
	On       bool   `json:"on,omitempty"`
	ForMS    int64  `json:"for_ms,omitempty"` // milliseconds, at most [MaxMaintenance]
	Operator string `json:"operator,omitempty"`
	Reason   string `json:"reason,omitempty"`
	By       string `json:"by,omitempty"` // the node whose daemon was asked
	// At is that node's wall clock in Unix milliseconds: for people, never compared.
	At int64 `json:"at,omitempty"`
}

// For is how long shots are held back.
func (m Maintenance) For() time.Duration { return time.Duration(m.ForMS) * time.Millisecond }

// MaxMaintenance bounds a maintenance: a forgotten one must not leave a cluster unprotected.
const MaxMaintenance = 24 * time.Hour

// Maintain begins or ends a maintenance. It is stale when another change came since Seen.
type Maintain struct {
	Node     string `json:"node"` // the node whose daemon the operator asked, or that saw its time end
	On       bool   `json:"on,omitempty"`
	Seen     uint64 `json:"seen"`
	ForMS    int64  `json:"for_ms,omitempty"`
	Operator string `json:"operator"`
	Reason   string `json:"reason,omitempty"`
	At       int64  `json:"at,omitempty"`
}

// Actor is the node in whose name the command acts.
func (c Maintain) Actor() string { return c.Node }

func (c Maintain) String() string {
	if c.On {
		return fmt.Sprintf("maintenance for %v, by %s", time.Duration(c.ForMS)*time.Millisecond, c.Operator)
	}
	return "end of the maintenance, by " + c.Operator
}

func (c Maintain) apply(r Record) (Record, error) {
	switch {
	case c.Operator == "" || c.On && c.Reason == "":
		return r, refuse(Unacceptable, "a maintenance needs an operator and a reason")
	case c.On && (c.ForMS <= 0 || c.ForMS > MaxMaintenance.Milliseconds()):
		return r, refuse(Unacceptable, "a maintenance lasts at least 1 ms and at most %v, not %d ms", MaxMaintenance, c.ForMS)
	case c.Seen != r.Maintenance.Serial:
		return r, refuse(Stale, "the maintenance was changed by %s meanwhile", r.Maintenance.Operator)
	case !c.On && !r.Maintenance.On:
		return r, refuse(Unacceptable, "there is no maintenance to end")
	}
	r.Maintenance = Maintenance{
		Serial: c.Seen + 1, On: c.On, ForMS: c.ForMS, Operator: c.Operator, Reason: c.Reason, By: c.Node, At: c.At,
	}
	return r, nil
}

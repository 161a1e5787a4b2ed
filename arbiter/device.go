package arbiter

import (
	"fmt"
	"maps"
)

// Device is what a fence device said when an operator saw that it cuts the right machine. It is
// compared before each shot, so that an address which has become another machine's kills nobody.
type Device struct {
	Identity string `json:"identity"`
	Operator string `json:"operator"`
	By       string `json:"by"` // the node whose daemon was asked
	// At is that node's wall clock in Unix milliseconds: for people, never compared.
	At int64 `json:"at,omitempty"`
}

// Identify records whose power a node's device cuts. It is stale when another identity than Was is
// recorded, so that two operators never overwrite each other unseen.
type Identify struct {
	Node     string `json:"node"` // the node whose daemon the operator asked
	Target   string `json:"target"`
	Device   string `json:"device"`
	Identity string `json:"identity"`
	Was      string `json:"was,omitempty"`
	Operator string `json:"operator"`
	At       int64  `json:"at,omitempty"`
}

// Actor is the node in whose name the command acts.
func (c Identify) Actor() string { return c.Node }

func (c Identify) String() string {
	return fmt.Sprintf("identify %s of %s as %s for %s", c.Device, c.Target, c.Identity, c.Operator)
}

func (c Identify) apply(r Record) (Record, error) {
	was := r.Devices[c.Target][c.Device].Identity
	switch {
	case c.Target == "" || c.Device == "" || c.Identity == "" || c.Operator == "":
		return r, refuse(Unacceptable, "an identity needs a node, a device, what it said, and who looked")
	case c.Target == c.Node:
		return r, refuse(Unacceptable, "%s can't vouch for its own fence devices", c.Node)
	case was != c.Was:
		return r, refuse(Stale, "%s of %s is recorded as %q, not as %q", c.Device, c.Target, was, c.Was)
	}
	of := maps.Clone(r.Devices[c.Target])
	if of == nil {
		of = map[string]Device{}
	}
	of[c.Device] = Device{Identity: c.Identity, Operator: c.Operator, By: c.Node, At: c.At}
	r.Devices = maps.Clone(r.Devices)
	if r.Devices == nil {
		r.Devices = map[string]map[string]Device{}
	}
	r.Devices[c.Target] = of
	return r, nil
}

// Identities are what a node's fence devices are recorded as, by device.
func (r Record) Identities(node string) map[string]string {
	out := map[string]string{}
	for device, d := range r.Devices[node] {
		out[device] = d.Identity
	}
	return out
}

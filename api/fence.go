package api

// FencePath is the last check of one fence device.
type FencePath struct {
	Level      int    `json:"level"` // 1 is tried first
	Device     string `json:"device"`
	OK         bool   `json:"ok"`
	Power      string `json:"power"`              // on, off, unknown
	Identity   string `json:"identity,omitempty"` // whose power it said it cuts
	Recorded   string `json:"recorded,omitempty"` // what it said at the fence test
	Error      string `json:"error,omitempty"`
	CheckAgeMS int64  `json:"check_age_ms"`
}

// FenceTestRequest asks for a node's fence devices to be read.
type FenceTestRequest struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	// Replaced says that the machine or its device is another one now: what the devices say is
	// recorded instead of what was.
	Replaced bool `json:"replaced,omitempty"`
}

// FenceOffRequest orders that a node's power be cut.
type FenceOffRequest struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
	// Force says that a node which holds a group and is well is to be shot nevertheless.
	Force bool `json:"force,omitempty"`
}

// FenceOffAnswer is what came of it.
type FenceOffAnswer struct {
	Node    string `json:"node"`
	Outcome string `json:"outcome"` // off, not-off, unknown
	Method  string `json:"method"`
	Detail  string `json:"detail"`
	TookMS  int64  `json:"took_ms"`
}

// UnfenceRequest lets a node hold groups again.
type UnfenceRequest struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
}

// Maintenance is a time in which nobody is fenced automatically.
type Maintenance struct {
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
	By       string `json:"by"`      // node whose daemon was asked
	LeftMS   int64  `json:"left_ms"` // by this node's clock
	At       string `json:"at"`      // RFC 3339, the wall clock of By
}

// MaintenanceRequest begins or ends a maintenance.
type MaintenanceRequest struct {
	On       bool   `json:"on"`
	ForMS    int64  `json:"for_ms,omitempty"`
	Operator string `json:"operator"`
	Reason   string `json:"reason,omitempty"`
}

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

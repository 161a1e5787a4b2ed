package claim

import (
	"fmt"
	"time"
)

// Permit is the right to have a group's addresses up until an instant. Only the rule of this
// package makes one; the zero Permit is never valid. Giving up needs no permit.
type Permit struct {
	group string
	epoch uint64
	until time.Duration
	valid bool
}

// Group is the group that the permit is for.
func (p Permit) Group() string { return p.group }

// Epoch is the fencing token: the epoch at which the group was taken.
func (p Permit) Epoch() uint64 { return p.epoch }

// Until is the reading of the node's clock by which the addresses must be down: the lease's
// deadline less the margin.
func (p Permit) Until() time.Duration { return p.until }

// Valid reports whether the permit still allows the addresses to be up.
func (p Permit) Valid(now time.Duration) bool { return p.valid && now < p.until }

func (p Permit) String() string {
	if !p.valid {
		return "no permit"
	}
	return fmt.Sprintf("permit %s epoch %d until %v", p.group, p.epoch, p.until)
}

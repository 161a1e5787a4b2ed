package sim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// Bug is a planted mistake: it distorts what passes between the program and the world. The zero
// value distorts nothing. The tests want every bug found (mutants_test.go).
type Bug struct {
	Apply func(arbiter.Record, arbiter.Command) (arbiter.Record, error)
	Event func(*group, claim.Event) claim.Event

	CountFromAnswer bool // a grant counts from when its answer came
	BeatUnknown     bool // a beat without an answer counts as agreed
	NoMargin        bool // the addresses go at the deadline, and challengers wait no longer than it
	SkipFence       bool // a fence says off without having tried
	ShootAnyway     bool // a fence that was called off shoots, and without a last look
	NoUnbind        bool // addresses are never taken down
	NoSweep         bool // a restarted daemon leaves up what it does not own
	InheritLate     bool // a restarted daemon keeps what its lease no longer covers
	DemoteLies      bool // a failed demote hook counts as done
}

func (p Plan) margin() time.Duration {
	if p.Bug.NoMargin {
		return 0
	}
	return p.Margin
}

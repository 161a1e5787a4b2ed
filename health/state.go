package health

import "fmt"

// State is what a check has found.
type State uint8

// The states. Unknown is a result: nothing has been found out yet.
const (
	Unknown State = iota
	Good
	Bad
)

func (s State) String() string { return [...]string{"unknown", "good", "bad"}[s] }

// Standing is how a check stands.
type Standing struct {
	Name   string
	State  State
	Weight int
	Count  int    // how often the weight counts while the check is good; 1 for most
	Why    string // the last bad answer; "" while good
}

// Fault reports whether the node must not hold the group because of this check. One that has found nothing out yet
// is no fault, and no reason to begin either: see [Total.Wait].
func (s Standing) Fault() bool { return s.Weight == 0 && s.State == Bad }

// delta is what the check does to the priority: a positive weight is added while it is good, a negative one while it is
// bad, as in keepalived. A counted one counts by its number while it can be read.
func (s Standing) delta() int {
	switch {
	case s.Count != 1 && s.State == Good:
		return s.Weight * s.Count
	case s.Weight > 0 && s.State == Good, s.Weight < 0 && s.State == Bad:
		return s.Weight
	}
	return 0
}

// Tracker counts answers: the first decides at once, and after that it takes Rise good ones in a row to become good, and Fall
// bad ones to become bad. It reads no clock.
type Tracker struct {
	o   Options
	now Standing
	run int // answers in a row that speak against the state
}

// NewTracker is a tracker that has heard nothing.
func NewTracker(o Options) *Tracker {
	return &Tracker{o: o, now: Standing{Name: o.Name, Weight: o.Weight, Count: 1}}
}

// Answer takes one answer, and reports whether it changed the standing.
func (t *Tracker) Answer(count int, err error) (Standing, bool) {
	was := t.now
	answer, needed := Good, t.o.Rise
	if err != nil {
		answer, needed = Bad, t.o.Fall
	} else if t.o.Weight != 0 {
		t.now.Count = count
	}
	switch {
	case t.now.State == answer:
		t.run = 0
	case t.now.State == Unknown:
		t.now.State = answer
	default:
		if t.run++; t.run >= needed {
			t.now.State, t.run = answer, 0
		}
	}
	switch {
	case t.now.State == Good:
		t.now.Why = ""
	case err != nil:
		t.now.Why = err.Error()
	}
	return t.now, t.now != was
}

// Total is what all checks of a group say together.
type Total struct {
	Fault string // why the node must not hold the group; "" when it may
	Wait  string // what hasn't been found out yet, of checks that could be a fault
	Delta int    // to be added to the priority
}

// Sum adds up standings. The first fault, in the order of the file, is the one that is told.
func Sum(all []Standing) Total {
	var t Total
	for _, s := range all {
		t.Delta += s.delta()
		if s.Fault() && t.Fault == "" {
			t.Fault = fmt.Sprintf("check %s: %s", s.Name, s.Why)
		}
		if s.Weight == 0 && s.State == Unknown && t.Wait == "" {
			t.Wait = fmt.Sprintf("check %s has not answered yet", s.Name)
		}
	}
	return t
}

// Priority is a base with a delta, within what a router that doesn't own its addresses may say.
func Priority(base uint8, delta int) uint8 { return uint8(min(max(int(base)+delta, 1), 254)) }

package claim

import (
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Event is something that happened, for [Machine.Step] and [Session.Step].
type Event interface{ event() }

// Seen is a record that the ledger pushed. An older one than was seen before changes nothing.
type Seen struct{ Record arbiter.Record }

// Renewed is a committed beat (or registration) of this boot: Sent is the clock's reading from
// before it was sent, Record the ledger as of its commit.
type Renewed struct {
	Sent   time.Duration
	Record arbiter.Record
}

// Wanted says whether this node is fit to hold the group, and if not, why. For protection vrrp it
// is the VRRP machine's wish.
type Wanted struct {
	Up  bool
	Why string
}

// Proposed is what came of a [Propose]: agreed when Err is nil, agreed to refuse when Err is an
// [arbiter.Refusal], and unknown otherwise. Record is the ledger as of then, when one came back.
type Proposed struct {
	Command arbiter.Command
	Sent    time.Duration
	Record  arbiter.Record
	Err     error
}

// Fenced is what came of a [Fence]. Only Off is proof.
type Fenced struct {
	Suspect arbiter.Boot
	Off     bool
	Outcome string // off, not-off, unknown
	Method  string
	Detail  string
}

// Promoted is the end of a [Promote].
type Promoted struct{ Err error }

// Demoted is the end of a [Demote].
type Demoted struct{ Err error }

// Bound is the end of a [Bind].
type Bound struct {
	Permit Permit
	Err    error
}

// Unbound is the end of an [Unbind].
type Unbound struct{ Err error }

// Ticked is nothing but the passing of time, due at [Machine.Wake].
type Ticked struct{}

func (Seen) event()     {}
func (Renewed) event()  {}
func (Wanted) event()   {}
func (Proposed) event() {}
func (Fenced) event()   {}
func (Promoted) event() {}
func (Demoted) event()  {}
func (Bound) event()    {}
func (Unbound) event()  {}
func (Ticked) event()   {}

// Action is something to do. Every action but [Announce], [Farewell], [CallOff] and [Cancel] is
// answered by an event when it is done.
type Action interface{ action() }

// Propose a command to the ledger.
type Propose struct{ Command arbiter.Command }

// Fence the suspect: prove that its power is off. The right to shoot ends with [CallOff].
type Fence struct {
	Group   string
	Suspect arbiter.Boot
	Epoch   uint64
}

// CallOff ends a fence that is under way: the right to shoot is gone.
type CallOff struct{}

// Promote runs the promote hook: the service must be up before the addresses are.
type Promote struct{ Permit Permit }

// Demote runs the demote hook.
type Demote struct {
	Epoch uint64
	// Planned says that the addresses are still up, and stay so until the hook is done or the
	// permit ends.
	Planned bool
}

// Cancel ends a promote hook that is under way.
type Cancel struct{}

// Bind brings the addresses up under the permit, or extends them to it.
type Bind struct{ Permit Permit }

// Unbind takes the addresses down.
type Unbind struct{ Epoch uint64 }

// Announce tells the network where the addresses are now.
type Announce struct{ Permit Permit }

// Farewell says that the group was given back, as VRRP's priority 0.
type Farewell struct{ Epoch uint64 }

func (Propose) action()  {}
func (Fence) action()    {}
func (CallOff) action()  {}
func (Promote) action()  {}
func (Demote) action()   {}
func (Cancel) action()   {}
func (Bind) action()     {}
func (Unbind) action()   {}
func (Announce) action() {}
func (Farewell) action() {}

func (a Propose) String() string { return "propose " + a.Command.String() }
func (a Fence) String() string {
	return fmt.Sprintf("fence %v for %s epoch %d", a.Suspect, a.Group, a.Epoch)
}
func (CallOff) String() string   { return "call off the fence" }
func (a Promote) String() string { return "promote: " + a.Permit.String() }
func (a Demote) String() string {
	if a.Planned {
		return fmt.Sprintf("demote epoch %d, addresses up", a.Epoch)
	}
	return fmt.Sprintf("demote epoch %d", a.Epoch)
}
func (Cancel) String() string     { return "cancel the promote hook" }
func (a Bind) String() string     { return "bind: " + a.Permit.String() }
func (a Unbind) String() string   { return fmt.Sprintf("unbind epoch %d", a.Epoch) }
func (a Announce) String() string { return "announce: " + a.Permit.String() }
func (a Farewell) String() string { return fmt.Sprintf("farewell epoch %d", a.Epoch) }

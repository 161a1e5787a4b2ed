package vrrp

import (
	"fmt"
	"net/netip"
)

// Event is something that happened. The events of this package are all there are.
type Event interface {
	String() string
	event()
}

// Started begins the protocol (the RFC's Startup). When the machine was asked to stop and the addresses
// aren't down yet, it takes that back.
type Started struct{}

// Stopped ends it (the RFC's Shutdown). An active machine adverts on until it hears [Revoked]: its addresses
// are still up, and priority 0 must be the last that others hear.
type Stopped struct{}

// Heard is an advert for this virtual router, in order of arrival. Deliver what was heard before Ticked:
// lateness of our own is not the active router's silence.
type Heard struct {
	Advert Advert
	From   netip.Addr
}

// Granted says that this node may be active: there is a permit and the addresses are up.
// Saying it again changes nothing.
type Granted struct{}

// Revoked says that this node is no longer active. Yield is the claim that its addresses are down
// and the group is released, so that others may be told with priority 0; without it nothing is sent,
// and they have to find out by silence. Revoked{} when the addresses begin to go down and
// Revoked{Yield: true} after the release is as good as the latter alone.
type Revoked struct{ Yield bool }

// Ticked says that the time [Machine.Wake] asked for may have come.
type Ticked struct{}

// Reprioritised changes the priority, from the next advert and the next timer on. Zero, which would
// say that the router gives up, counts as 1.
type Reprioritised struct{ Priority uint8 }

func (Started) event()       {}
func (Stopped) event()       {}
func (Heard) event()         {}
func (Granted) event()       {}
func (Revoked) event()       {}
func (Ticked) event()        {}
func (Reprioritised) event() {}

func (Started) String() string { return "started" }
func (Stopped) String() string { return "stopped" }
func (e Heard) String() string { return fmt.Sprintf("heard %v from %v", e.Advert, e.From) }
func (Granted) String() string { return "granted" }
func (e Revoked) String() string {
	if e.Yield {
		return "revoked and released"
	}
	return "revoked"
}
func (Ticked) String() string          { return "ticked" }
func (e Reprioritised) String() string { return fmt.Sprintf("reprioritised to %d", e.Priority) }

// Action is something to do. The actions of this package are all there are.
type Action interface {
	String() string
	action()
}

// Want is the wish to be active. It stands until [Unwant].
type Want struct{ Why string }

// Unwant takes the wish back, or gives up what was granted. In a protected group it is about the wish alone: who
// has taken the group in the ledger already finishes that first.
type Unwant struct{ Why string }

// Send is an advert to send now; [Machine.Advert] makes it. Of priority 0 it is the last one.
type Send struct{ Priority uint8 }

// Alarm is what an operator should look at. The same alarm about the same router is raised once a minute.
type Alarm struct{ Text string }

func (Want) action()   {}
func (Unwant) action() {}
func (Send) action()   {}
func (Alarm) action()  {}

func (a Want) String() string   { return "want: " + a.Why }
func (a Unwant) String() string { return "unwant: " + a.Why }
func (a Send) String() string   { return fmt.Sprintf("send priority %d", a.Priority) }
func (a Alarm) String() string  { return "alarm: " + a.Text }

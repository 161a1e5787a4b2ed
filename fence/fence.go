// Package fence cuts the power of a node and proves it: levels of devices, tried in order, of
// which all devices of one level must read off, twice, on fresh connections.
//
// It owns the order of things: read first (already off needs no shot), ask whether this node may
// still shoot right before each irreversible command, command, read back, next level. How a device
// is spoken to is for the packages below it. Who may shoot whom, and when, is the claim rule's;
// what an outcome is worth as evidence is the ledger's. It never gives a machine power.
package fence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Outcome is what is known of a node's power after a fence. Only Off is evidence.
type Outcome int

// The outcomes. Unknown is never folded into NotOff: nobody could look.
const (
	Unknown Outcome = iota
	NotOff          // a device was read, after the last command, and said that power is on
	Off             // proved as the package comment says, or acknowledged by a device with trust_ack
)

func (o Outcome) String() string {
	switch o {
	case Unknown:
		return "unknown"
	case NotOff:
		return "not-off"
	case Off:
		return "off"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// PowerState is one reading of a device.
type PowerState int

// The readings. PowerUnknown is an answer that says neither.
const (
	PowerUnknown PowerState = iota
	PowerOn
	PowerOff
)

func (s PowerState) String() string {
	switch s {
	case PowerUnknown:
		return "unknown"
	case PowerOn:
		return "on"
	case PowerOff:
		return "off"
	}
	return fmt.Sprintf("PowerState(%d)", int(s))
}

// Shot is one fence: who is shot, by whom, and for what.
type Shot struct {
	Target string // the node to cut off
	Boot   string // its boot, as text
	Node   string // the fencer
	Epoch  uint64 // in whose name
	Group  string // for which group

	guard      func() error
	identities map[string]string
}

// WithGuard returns the shot with what [Shot.Allowed] asks.
func (s Shot) WithGuard(guard func() error) Shot {
	s.guard = guard
	return s
}

// WithIdentities returns the shot with what devices, by name, said when somebody saw that they cut
// the target. A device that says something else now is another machine's: it is neither read nor
// commanded.
func (s Shot) WithIdentities(recorded map[string]string) Shot {
	s.identities = recorded
	return s
}

// Allowed is nil while the fencer may shoot. [Run] asks before each command; a device that takes
// time to connect asks once more before it sends the command, and returns the error.
func (s Shot) Allowed() error {
	if s.guard == nil {
		return nil
	}
	if err := s.guard(); err != nil {
		return fmt.Errorf("%w: %w", ErrRevoked, err)
	}
	return nil
}

// Device is one way to cut and to read a node's power. Each call uses a fresh connection, honours
// ctx and returns promptly when it ends. No secret is in a name or an error.
type Device interface {
	// Name says what and where, for people: "ipmi 10.1.0.5".
	Name() string
	// Status reads the power. A failure to read is an error and PowerUnknown.
	Status(ctx context.Context, s Shot) (PowerState, error)
	// Off asks for power off. Nil means that the device accepted; only a Status after it proves.
	Off(ctx context.Context, s Shot) error
}

// AckTruster is a Device that can't read the power, and whose operator spelt out that its
// acknowledgement counts as off.
type AckTruster interface{ TrustsAck() bool }

func trustsAck(d Device) bool {
	t, ok := d.(AckTruster)
	return ok && t.TrustsAck()
}

var (
	// ErrNoStatus is the status of a device that can't read power.
	ErrNoStatus = errors.New("this device has no way to read the power")
	// ErrRevoked wraps the guard's error: this node may not shoot any more.
	ErrRevoked = errors.New("the right to fence was lost")
	// ErrOtherMachine is a device that doesn't say any more what it said when its machine was known.
	ErrOtherMachine = errors.New("the device may cut another machine")
	// ErrBusy is the check of devices that a fence is using.
	ErrBusy = errors.New("a fence is using the devices")
)

// Level is devices that must all be off, say the two outlets of a machine with two supplies.
type Level []Device

// Budgets are the time limits and pauses of a plan. Zero values become the defaults.
type Budgets struct {
	Total   time.Duration // the whole fence: 60 s
	Device  time.Duration // from a level's last command until its proof: 20 s
	Call    time.Duration // one status or off of one device: 5 s
	Poll    time.Duration // between readings that aren't off: 200 ms
	Confirm time.Duration // at least between the two readings that prove: 500 ms
}

func (b Budgets) withDefaults() (Budgets, error) {
	for _, f := range []struct {
		name  string
		d     *time.Duration
		deflt time.Duration
	}{
		{"total", &b.Total, 60 * time.Second},
		{"device", &b.Device, 20 * time.Second},
		{"call", &b.Call, 5 * time.Second},
		{"poll", &b.Poll, 200 * time.Millisecond},
		{"confirm", &b.Confirm, 500 * time.Millisecond},
	} {
		if *f.d < 0 {
			return b, fmt.Errorf("fence budget %s is %v: give a positive duration", f.name, *f.d)
		}
		if *f.d == 0 {
			*f.d = f.deflt
		}
	}
	if b.Confirm >= b.Device || b.Device > b.Total {
		return b, fmt.Errorf("fence budgets confirm %v, device %v, total %v: want confirm < device <= total",
			b.Confirm, b.Device, b.Total)
	}
	return b, nil
}

// Plan is how one node is fenced. Make it once and share it: it sees to it that a device does
// one thing at a time (a BMC dislikes two sessions), and that a fence doesn't wait for a check.
type Plan struct {
	levels  []level
	budgets Budgets

	mu     sync.Mutex
	fences int                             // running
	checks map[int]context.CancelCauseFunc // running
	nextID int
}

// level is a Level with its number for people, from 1.
type level struct {
	number  int
	devices []*lane
}

// lane is a device with its queue of one.
type lane struct {
	Device
	turn chan struct{} // holds one token while the device is idle
}

// NewPlan checks the levels and budgets.
func NewPlan(levels []Level, b Budgets) (*Plan, error) {
	b, err := b.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(levels) == 0 {
		return nil, errors.New("fence plan: no level; give at least one device")
	}
	p := &Plan{budgets: b, checks: map[int]context.CancelCauseFunc{}}
	lanes := map[Device]*lane{} // a device may be on several levels
	for i, l := range levels {
		if len(l) == 0 {
			return nil, fmt.Errorf("fence plan: level %d has no device", i+1)
		}
		lv := level{number: i + 1}
		for _, d := range l {
			if lanes[d] == nil {
				lanes[d] = &lane{Device: d, turn: make(chan struct{}, 1)}
				lanes[d].turn <- struct{}{}
			}
			lv.devices = append(lv.devices, lanes[d])
		}
		p.levels = append(p.levels, lv)
	}
	return p, nil
}

// names joins the names of a level's devices.
func (l level) names() string {
	names := make([]string, len(l.devices))
	for i, d := range l.devices {
		names[i] = d.Name()
	}
	return strings.Join(names, " + ")
}

// method is what the ledger calls a fence by this level.
func (l level) method() string {
	if l.number == 1 {
		return l.names()
	}
	return fmt.Sprintf("level %d: %s", l.number, l.names())
}

// take waits for the device's turn; give ends it.
func (l *lane) take(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another command to the device: %w", context.Cause(ctx))
	}
}

func (l *lane) give() { l.turn <- struct{}{} }

// limit is the cause of a context whose time is up, and says which limit fired.
type limit struct {
	of string
	d  time.Duration
}

func (l *limit) Error() string { return fmt.Sprintf("time limit of %s, %v", l.of, l.d) }

func (*limit) Unwrap() error { return context.DeadlineExceeded }

func limited(ctx context.Context, of string, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &limit{of, d})
}

// status reads one device within the budget of a call.
func (p *Plan) status(ctx context.Context, d *lane, s Shot) (PowerState, error) {
	ctx, cancel := limited(ctx, "one command", p.budgets.Call)
	defer cancel()
	if err := d.take(ctx); err != nil {
		return PowerUnknown, err
	}
	defer d.give()
	power, err := d.Status(ctx, s)
	if err != nil {
		return PowerUnknown, err
	}
	return power, nil
}

// off commands one device within the budget of a call. The guard is asked when it is the
// device's turn, so that no waiting lies between the answer and the command.
func (p *Plan) off(ctx context.Context, d *lane, s Shot) error {
	ctx, cancel := limited(ctx, "one command", p.budgets.Call)
	defer cancel()
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	if err := s.Allowed(); err != nil {
		return err
	}
	return d.Off(ctx, s)
}

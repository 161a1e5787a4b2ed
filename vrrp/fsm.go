package vrrp

import (
	"fmt"
	"time"
)

// State is where a machine stands.
type State uint8

// The states of RFC 9568 section 6.3, and Waiting between its Backup and its Active.
const (
	Init    State = iota // not started
	Backup               // another router is active, or is believed to be
	Waiting              // asked to be active, not granted
	Active               // granted: adverts go out
)

func (s State) String() string { return [...]string{"init", "backup", "waiting", "active"}[s] }

// Machine is the state machine of one virtual router (RFC 9568 section 6.4). It is made by
// [NewMachine] and owned by one goroutine.
type Machine struct {
	cfg      Config
	priority uint8
	state    State
	why      string        // the reason for the state
	leaving  bool          // Stopped came while Active: Init follows once the addresses are down
	interval time.Duration // Active_Adver_Interval: the active router's, as far as known

	owing bool // others may believe that we are active: a farewell is owed from Active until it is sent, or until another router is active

	armed bool          // the timer of the state runs: Active_Down_Timer in Backup, Adver_Timer in Active
	due   time.Duration // when it fires

	lesser bool          // an active router of lower priority is being let be (PreemptDelay)
	since  time.Duration // when it was heard first

	last    Heard
	lastAt  time.Duration
	anyone  bool                        // last was ever set
	alarmed map[complaint]time.Duration // when each alarm was raised last

	now time.Duration // of the running Step
	out []Action      // of the running Step
}

// NewMachine is a machine in state Init. It panics when [Config.Check] has something to say.
func NewMachine(c Config) *Machine {
	if err := c.Check(); err != nil {
		panic(fmt.Sprintf("vrrp: machine of an unchecked config: %v", err))
	}
	c = c.withDefaults()
	return &Machine{
		cfg: c, priority: c.Priority, interval: c.Interval, why: "not started",
		alarmed: make(map[complaint]time.Duration),
	}
}

// Step takes one event at a time now, which never runs backwards, and returns what to do, in order.
func (m *Machine) Step(now time.Duration, e Event) []Action {
	m.now, m.out = now, nil
	switch e := e.(type) {
	case Started:
		m.started()
	case Stopped:
		m.stopped()
	case Granted:
		m.granted()
	case Revoked:
		m.revoked(e)
	case Heard:
		m.heard(e)
	case Ticked:
		m.ticked()
	case Reprioritised:
		m.priority = max(e.Priority, 1)
	default:
		panic(fmt.Sprintf("vrrp: unknown event %T", e))
	}
	return m.out
}

// Wake is when the machine wants a [Ticked], if it does.
func (m *Machine) Wake() (time.Duration, bool) { return m.due, m.armed }

// State is where the machine stands.
func (m *Machine) State() State { return m.state }

// Why is the reason for the state, in words.
func (m *Machine) Why() string { return m.why }

// Priority is the priority in force.
func (m *Machine) Priority() uint8 { return m.priority }

// Last is the newest advert of another router that was for us, and when it came.
func (m *Machine) Last() (h Heard, at time.Duration, ok bool) { return m.last, m.lastAt, m.anyone }

// Advert is the packet for a [Send].
func (m *Machine) Advert(priority uint8) Advert {
	return Advert{
		Version: m.cfg.Version, VRID: m.cfg.VRID, Priority: priority, Interval: m.cfg.Interval,
		Addresses: m.cfg.Addresses, Auth: m.cfg.Auth, Checksum: m.cfg.Checksum,
	}
}

// started is RFC 9568 section 6.4.1.
func (m *Machine) started() {
	switch {
	case m.leaving:
		m.leaving = false
		m.why = "started again before the addresses were down"
		m.do(Want{m.why})
	case m.state != Init:
	case m.priority == PriorityOwner:
		m.interval = m.cfg.Interval
		m.ask("this node owns the addresses (priority 255)")
	default:
		m.interval = m.cfg.Interval
		m.backup("started")
	}
}

// stopped is the Shutdown of RFC 9568 sections 6.4.2 and 6.4.3, less the advert of priority 0, which
// waits for [Revoked].
func (m *Machine) stopped() {
	switch {
	case m.state == Active && !m.leaving:
		m.leaving = true
		m.why = "stopped; adverts go on until the addresses are down"
		m.do(Unwant{"stopped"})
	case m.state == Waiting:
		m.do(Unwant{"stopped"})
		m.init("stopped")
	case m.state == Backup:
		m.init("stopped")
	}
}

// granted is the only way to Active, from wherever the machine stands.
func (m *Machine) granted() {
	switch m.state {
	case Init:
		m.do(Unwant{"granted while stopped"})
	case Backup, Waiting:
		m.enter(Active, "granted")
		m.owing = true
		m.send()
		m.arm(m.cfg.Interval)
	}
}

// revoked is the only way out of Active in a protected group. The wish, if it still stands, goes
// with it: after a while of silence there is a new one. The farewell may come with it or later; it is left
// out where another router has become active since.
func (m *Machine) revoked(e Revoked) {
	why := "revoked"
	if e.Yield {
		why = "released"
	}
	if e.Yield && m.owing {
		m.do(Send{PriorityReleased})
		m.owing = false
	}
	if m.state == Waiting || m.state == Active && !m.leaving {
		m.do(Unwant{why})
	}
	switch m.state {
	case Active:
		m.interval = m.cfg.Interval
		m.retreat(why)
	case Waiting:
		m.backup(why)
	}
}

// ticked is a timer that fires: Active_Down_Timer (RFC 9568 section 6.4.2) or Adver_Timer (6.4.3).
func (m *Machine) ticked() {
	switch {
	case !m.armed || m.now < m.due:
	case m.state == Backup:
		m.ask(m.silence())
	case m.state == Active:
		m.send()
		m.arm(m.cfg.Interval)
	}
}

// silence is why Active_Down_Timer fired.
func (m *Machine) silence() string {
	p, ago := m.last.Advert.Priority, (m.now - m.lastAt).Round(time.Millisecond)
	switch {
	case !m.anyone:
		return fmt.Sprintf("master down: nothing heard for %v", m.downInterval())
	case p == PriorityReleased:
		return fmt.Sprintf("%v gave up (priority 0)", m.last.From)
	case m.lesser && m.now-m.lastAt < m.downInterval():
		return fmt.Sprintf("%v is active at priority %d, below ours (%d): preempting", m.last.From, p, m.priority)
	}
	return fmt.Sprintf("master down: %v at priority %d was last heard %v ago", m.last.From, p, ago)
}

// downInterval is Active_Down_Interval: so many intervals of the active router, and the skew (RFC 9568 section 6.1).
func (m *Machine) downInterval() time.Duration {
	return time.Duration(m.cfg.DownTimerAdverts)*m.interval + m.skew()
}

// skew is Skew_Time: the higher the priority, the sooner. It scales with the active router's interval in
// version 3 (RFC 9568 section 6.1), and with a second in version 2 (RFC 3768 section 6.1).
func (m *Machine) skew() time.Duration {
	unit := m.interval
	if m.cfg.Version == V2 {
		unit = time.Second
	}
	return time.Duration(256-int(m.priority)) * unit / 256
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) send() { m.do(Send{m.priority}) }

func (m *Machine) arm(d time.Duration) { m.armed, m.due = true, m.now+d }

func (m *Machine) enter(s State, why string) {
	m.state, m.why = s, why
	m.armed, m.leaving, m.lesser = false, false, false
}

func (m *Machine) init(why string) { m.enter(Init, why) }

func (m *Machine) backup(why string) {
	m.enter(Backup, why)
	m.arm(m.downInterval())
}

// ask enters Waiting, where no timer runs: the wish stands.
func (m *Machine) ask(why string) {
	m.enter(Waiting, why)
	m.do(Want{why})
}

// retreat leaves Active: for good when the machine was stopped, else as a backup.
func (m *Machine) retreat(why string) {
	if m.leaving {
		m.init("stopped, " + why)
		return
	}
	m.backup(why)
}

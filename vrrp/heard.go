package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// heard is an ADVERTISEMENT that was received (RFC 9568 sections 6.4 and 7.1).
func (m *Machine) heard(e Heard) {
	if m.state == Init {
		m.owing = m.owing && e.Advert.Priority == PriorityReleased
		return
	}
	if !m.fit(e) {
		return
	}
	m.last, m.lastAt, m.anyone = e, m.now, true
	if m.state != Active {
		m.owing = m.owing && e.Advert.Priority == PriorityReleased
	}
	switch m.state {
	case Backup:
		m.heardInBackup(e)
	case Waiting:
		m.heardInWaiting(e)
	case Active:
		m.heardInActive(e)
	}
}

// heardInBackup is the last part of RFC 9568 section 6.4.2.
func (m *Machine) heardInBackup(e Heard) {
	switch {
	case e.Advert.Priority == PriorityReleased && m.cfg.Protected:
		m.ask(fmt.Sprintf("%v gave up (priority 0)", e.From))
	case e.Advert.Priority == PriorityReleased:
		m.arm(m.skew())
	case m.follows(e.Advert.Priority):
		m.why = activeRouter(e)
		m.adopt(e.Advert)
		m.arm(m.downInterval())
	}
	// Else it is discarded: the timer runs on, and then we preempt.
}

// heardInWaiting is as in Backup, for a wish that was not granted yet: an active router that we would
// follow ends it.
func (m *Machine) heardInWaiting(e Heard) {
	if e.Advert.Priority == PriorityReleased || !m.follows(e.Advert.Priority) {
		return
	}
	why := activeRouter(e)
	m.do(Unwant{why})
	m.adopt(e.Advert)
	m.backup(why)
}

// heardInActive is the last part of RFC 9568 section 6.4.3. Order is policy: a protected holder
// is safe before anything else is looked at.
func (m *Machine) heardInActive(e Heard) {
	p := e.Advert.Priority
	higher := p > m.priority || p == m.priority && e.From.Compare(m.cfg.Address) > 0
	switch {
	case p == PriorityReleased:
		m.send()
		m.arm(m.cfg.Interval)
	case p == m.priority && e.From == m.cfg.Address:
		// To answer would be answered.
		m.alarm(twinRouter, e.From, "another router adverts with our address %v at our priority %d", e.From, p)
	case higher && m.cfg.Protected:
		m.alarm(foreignRouter, e.From, "%v adverts this group at priority %d while we hold it (at %d): ignored; find out who it is", e.From, p, m.priority)
	case higher:
		why := activeRouter(e)
		m.owing = false
		if !m.leaving {
			m.do(Unwant{why})
		}
		m.adopt(e.Advert)
		m.retreat(why)
	default:
		if m.cfg.Protected {
			m.alarm(foreignRouter, e.From, "%v adverts this group at priority %d while we hold it (at %d): answered; find out who it is", e.From, p, m.priority)
		}
		m.send() // Adver_Timer runs on
	}
}

func activeRouter(e Heard) string {
	return fmt.Sprintf("%v is active at priority %d", e.From, e.Advert.Priority)
}

// follows reports whether an active router of that priority is let be: always in a protected
// group, else by Preempt_Mode (RFC 9568 section 6.4.2), and for a while by PreemptDelay.
func (m *Machine) follows(priority uint8) bool {
	if m.cfg.Protected || !m.cfg.Preempt || priority >= m.priority {
		m.lesser = false
		return true
	}
	if !m.lesser {
		m.lesser, m.since = true, m.now
	}
	return m.now < m.since+m.cfg.PreemptDelay
}

// adopt takes over the active router's interval (RFC 9568 section 6.4.2; version 2 has them all alike).
func (m *Machine) adopt(a Advert) {
	if m.cfg.Version == V3 {
		m.interval = a.Interval
	}
}

// fit reports whether an advert is for this virtual router at all, and complains when it isn't (RFC
// 9568 section 7.1, RFC 3768 section 7.1). Other addresses than ours are worth a complaint only.
func (m *Machine) fit(e Heard) bool {
	a := e.Advert
	switch {
	case a.VRID != m.cfg.VRID:
		m.alarm(otherRouter, e.From, "discarded an advert of %v for virtual router %d, which is not ours", e.From, a.VRID)
		return false
	case a.Version != m.cfg.Version:
		m.alarm(otherVersion, e.From, "discarded an advert of %v: VRRP%v, configured is VRRP%v", e.From, a.Version, m.cfg.Version)
		return false
	case a.Auth != m.cfg.Auth:
		m.alarm(otherAuth, e.From, "discarded an advert of %v: its authentication is not the one configured", e.From)
		return false
	case a.Version == V2 && a.Interval != m.cfg.Interval:
		m.alarm(otherInterval, e.From, "discarded an advert of %v: its interval is %v, configured is %v, and VRRPv2 has to agree", e.From, a.Interval, m.cfg.Interval)
		return false
	case !sameAddresses(a.Addresses, m.cfg.Addresses):
		m.alarm(otherAddresses, e.From, "%v adverts other addresses than configured: %v", e.From, a)
	}
	return true
}

func sameAddresses(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

// complaint is what an alarm is about, so that it isn't repeated with every advert.
type complaint struct {
	kind kind
	from netip.Addr
}

type kind uint8

const (
	foreignRouter kind = iota
	twinRouter
	otherRouter
	otherVersion
	otherAuth
	otherInterval
	otherAddresses
)

const (
	alarmEvery = time.Minute
	alarmsKept = 256 // sources are anybody's to invent: more are not remembered, and not raised
)

func (m *Machine) alarm(k kind, from netip.Addr, format string, args ...any) {
	c := complaint{k, from}
	if at, ok := m.alarmed[c]; ok && m.now < at+alarmEvery {
		return
	}
	for old, at := range m.alarmed {
		if m.now >= at+alarmEvery {
			delete(m.alarmed, old)
		}
	}
	if len(m.alarmed) >= alarmsKept {
		return
	}
	m.alarmed[c] = m.now
	m.do(Alarm{fmt.Sprintf(format, args...)})
}

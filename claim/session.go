package claim

import (
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Session is the node's one registration and its one beat, which renews all its groups. The zero
// value is useless; see [NewSession].
type Session struct {
	// Manual says that this node, if it was fenced, waits for an operator before it takes anything.
	Manual bool

	self        arbiter.Boot
	shared      string // see arbiter.Register
	ttl, margin time.Duration

	now, stillSince time.Duration
	rec             arbiter.Record
	seen            bool
	registered      bool
	proposing       bool
	beatAt          time.Duration
	end             string // why this boot may do nothing more
	reason          string
}

// NewSession is a session that has seen nothing yet. Its registration says of the node's file what
// is in shared.
func NewSession(self arbiter.Boot, shared string, ttl, margin time.Duration) *Session {
	return &Session{self: self, shared: shared, ttl: ttl, margin: margin}
}

// Step takes a [Seen], [Proposed] or [Ticked] at an instant and returns what to propose, if
// anything. A registration or beat that was agreed is to be handed to every machine as [Renewed].
func (s *Session) Step(now time.Duration, e Event) []Action {
	s.now = now
	switch e := e.(type) {
	case Seen:
		s.observe(now, e.Record)
	case Proposed:
		s.proposing = false
		if e.Record.Index > 0 {
			s.observe(now, e.Record)
		}
		s.proposed(now, e)
	}
	a, reason := s.decide(now)
	s.reason = reason
	if a == nil {
		return nil
	}
	return []Action{a}
}

func (s *Session) former() arbiter.Node { return s.rec.Nodes[s.self.Node] }

func (s *Session) observe(now time.Duration, r arbiter.Record) {
	if s.seen && r.Index <= s.rec.Index {
		return
	}
	if !s.seen || r.Nodes[s.self.Node] != s.former() {
		s.stillSince = now
	}
	s.rec, s.seen = r, true
	switch n := s.former(); {
	case n.Fenced && n.Boot.Kernel == s.self.Kernel:
		s.end = fmt.Sprintf("this boot of %s was declared dead: restart the machine", s.self.Node)
	case s.registered && n.Boot != s.self:
		s.end = fmt.Sprintf("another machine registered as %s (%v): two machines must not share a name", s.self.Node, n.Boot)
	}
}

func (s *Session) proposed(now time.Duration, e Proposed) {
	switch {
	case e.Err != nil:
		s.beatAt = now + retryPause
	case s.registered:
		s.beatAt = e.Sent + Beat(s.ttl)
	default:
		s.registered, s.beatAt = true, e.Sent+Beat(s.ttl)
	}
}

// decide is the order: nothing after the end, register before beating, and of a former boot
// that may still have something up, watch first that it stands still.
func (s *Session) decide(now time.Duration) (Action, string) {
	former := s.former().Boot
	switch {
	case s.end != "":
		return nil, s.end
	case !s.seen:
		return nil, "waiting for the ledger"
	case !s.registered && (s.proposing || now < s.beatAt):
		return nil, "registering"
	case s.proposing || now < s.beatAt:
		return nil, "registered"
	case s.registered:
		s.proposing = true
		return Propose{arbiter.Beat{Boot: s.self}}, "registered"
	case former != s.self && s.rec.Involves(former) && now < s.stillSince+Takeover(s.ttl, s.margin):
		return nil, fmt.Sprintf("watching that no other machine beats as %s", s.self.Node)
	}
	s.proposing = true
	return Propose{arbiter.Register{Boot: s.self, Seen: s.former().Beat, Shared: s.shared, Manual: s.Manual}}, "registering"
}

// Registered reports whether the ledger knows this boot and lets it act.
func (s *Session) Registered() bool { return s.registered && s.end == "" }

// End is why this boot may do nothing more, or "" while it may.
func (s *Session) End() string { return s.end }

// Reason is the rule that matched last, in words.
func (s *Session) Reason() string { return s.reason }

// Wake is when the session wants to be [Ticked] next, if nothing happens before.
func (s *Session) Wake() (time.Duration, bool) {
	at := s.beatAt
	if watched := s.stillSince + Takeover(s.ttl, s.margin); !s.registered && s.seen && at <= s.now {
		at = watched
	}
	return at, at > s.now && s.end == ""
}

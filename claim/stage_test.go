package claim_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// say writes one line of what happened.
func (s *story) say(format string, args ...any) {
	fmt.Fprintf(&s.out, "  %-7v %s\n", s.now, fmt.Sprintf(format, args...))
}

// step steps the machine, says what it does and why, and answers what is answered at once.
func (s *story) step(e claim.Event) {
	actions := s.machine.Step(s.now, e)
	for _, a := range actions {
		s.say("-> %v", a)
		switch a := a.(type) {
		case claim.Propose:
			s.pending, s.sent = a.Command, s.now
		case claim.Fence:
			s.shooting = a.Suspect
		case claim.Bind:
			s.permit = a.Permit
		}
	}
	v := s.machine.View()
	if line := fmt.Sprintf("%s: %s", v.Role, v.Reason); line != s.said {
		s.said = line
		s.say("%s", line)
	}
	for _, a := range actions {
		s.answerAtOnce(a)
	}
}

// answerAtOnce is for what a story does not care about.
func (s *story) answerAtOnce(a claim.Action) {
	switch a := a.(type) {
	case claim.Propose:
		s.answer()
	case claim.Promote:
		if s.auto["hooks"] {
			s.step(claim.Promoted{})
		}
	case claim.Demote:
		if s.auto["hooks"] {
			s.step(claim.Demoted{})
		}
	case claim.Bind:
		if s.auto["kernel"] {
			s.step(claim.Bound{Permit: a.Permit})
		}
	case claim.Unbind:
		if s.auto["kernel"] {
			s.step(claim.Unbound{})
		}
	}
}

func (s *story) answer() {
	if s.auto["ledger"] && s.pending != nil {
		_ = s.ledgerAnswers("agree")
	}
}

func (s *story) stepSession(e claim.Event) {
	for _, a := range s.session.Step(s.now, e) {
		s.say("-> %v", a)
		s.pending, s.sent = a.(claim.Propose).Command, s.now
	}
	if r := s.session.Reason(); r != s.said {
		s.said = r
		s.say("%s", r)
	}
	s.answer()
}

// ledgerAnswers is what becomes of the proposal that is under way: agreed (or refused, when the
// ledger refuses it), lost (agreed, but nobody hears), or dropped (it may still come, late).
func (s *story) ledgerAnswers(how string) error {
	c := s.pending
	if c == nil {
		return errors.New("nothing is proposed")
	}
	s.pending = nil
	p := claim.Proposed{Command: c, Sent: s.sent}
	switch how {
	case "drop":
		s.dropped = append(s.dropped, c)
		p.Err = errors.New("no answer in time")
	case "lose":
		if err := s.commit(c); err != nil {
			return err
		}
		p.Err = errors.New("no answer in time")
	default:
		p.Err, p.Record = s.commit(c), arbiter.Record{}
		p.Record = s.ledger
		if p.Err != nil {
			s.say("ledger: %v", p.Err)
		}
		if (how == "refuse") != (p.Err != nil) && !s.auto["ledger"] {
			return fmt.Errorf("the ledger says %v", p.Err)
		}
	}
	if s.session != nil {
		s.stepSession(p)
		return nil
	}
	s.step(p)
	return nil
}

// wait lets time pass: who beats beats, and the machine is ticked when it asked to be.
func (s *story) wait(end time.Duration) {
	for {
		next, beat := end, false
		if len(s.beating) > 0 && s.beatAt <= next {
			next, beat = s.beatAt, true
		}
		wake, ok := s.wake()
		if ok && wake < next {
			next, beat = wake, false
		}
		s.now = next
		switch {
		case beat:
			s.beatAt += time.Second
			s.beat()
		case ok && wake == next:
			s.tick()
		default:
			return
		}
	}
}

func (s *story) wake() (time.Duration, bool) {
	if s.session != nil {
		return s.session.Wake()
	}
	if s.machine != nil {
		return s.machine.Wake()
	}
	return 0, false
}

func (s *story) tick() {
	if s.session != nil {
		s.stepSession(claim.Ticked{})
		return
	}
	s.step(claim.Ticked{})
}

// beat is one beat of every node that beats, our own last and as a renewal.
func (s *story) beat() {
	for _, name := range s.beating {
		if err := s.commit(arbiter.Beat{Boot: s.boot(name)}); err != nil {
			s.say("ledger: %v", err)
		}
	}
	if slices.Contains(s.beating, s.cfg.Self.Node) && s.machine != nil {
		s.step(claim.Renewed{Sent: s.now, Record: s.ledger})
		return
	}
	s.see()
}

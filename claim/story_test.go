package claim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// story is one scenario while it is played.
type story struct {
	now     time.Duration
	out     strings.Builder
	cfg     claim.Config
	machine *claim.Machine
	session *claim.Session
	said    string
	blind   bool // nothing that the ledger agrees on is seen

	ledger  arbiter.Record
	boots   map[string]int // machine lives of every node
	beating []string       // nodes that beat every second
	beatAt  time.Duration
	auto    map[string]bool // what is answered well at once: ledger, hooks, kernel

	pending  arbiter.Command // proposed, and not answered
	sent     time.Duration
	dropped  []arbiter.Command // proposed, given up, and still under way
	shooting arbiter.Boot
	permit   claim.Permit // of the bind under way
}

const (
	ttl    = 4 * time.Second
	margin = 100 * time.Millisecond
)

// play plays a scenario and returns it with what happened.
func play(text string) (string, error) {
	s := &story{cfg: claim.Config{Protection: arbiter.ProtectFence}, boots: map[string]int{}, auto: map[string]bool{}, ledger: arbiter.Record{Index: 1}}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if err := s.do(words); err != nil {
				return s.out.String(), fmt.Errorf("line %d: %s: %w", i+1, line, err)
			}
		}
	}
	return s.out.String(), nil
}

// do is every verb.
func (s *story) do(w []string) error {
	rest := strings.Join(w[1:], " ")
	switch w[0] {
	case "machine":
		return s.begin(w[1:])
	case "session":
		if len(w) > 2 { // on another machine
			s.boots[w[1]]++
		}
		s.session = claim.NewSession(s.boot(w[1]), "", ttl, margin)
		s.cfg.Self = s.boot(w[1])
		s.stepSession(claim.Seen{Record: s.ledger})
	case "restart":
		return s.restart(w[1:])
	case "auto":
		for _, what := range w[1:] {
			s.auto[what] = true
		}
		s.answer()
	case "manual":
		for _, what := range w[1:] {
			delete(s.auto, what)
		}
	case "beating":
		s.beating, s.beatAt = w[1:], s.now+time.Second
	case "wait":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			return err
		}
		s.wait(s.now + d)
	case "agree", "lose", "drop", "refuse":
		return s.ledgerAnswers(w[0])
	case "late":
		if len(s.dropped) == 0 {
			return errors.New("nothing was dropped or lost")
		}
		c := s.dropped[0]
		s.dropped = s.dropped[1:]
		return s.happens(c)
	case "off", "not-off", "unknown":
		if !s.machine.View().Fencing {
			return errors.New("nothing is being fenced")
		}
		s.step(claim.Fenced{Suspect: s.shooting, Off: w[0] == "off", Outcome: w[0], Method: "ipmi", Detail: rest})
	case "promoted":
		s.step(claim.Promoted{Err: failure(rest)})
	case "demoted":
		s.step(claim.Demoted{Err: failure(rest)})
	case "bound":
		s.step(claim.Bound{Permit: s.permit, Err: failure(rest)})
	case "unbound":
		s.step(claim.Unbound{Err: failure(rest)})
	case "fit":
		s.step(claim.Wanted{Up: true})
	case "unfit":
		s.step(claim.Wanted{Why: rest})
	case "move":
		return s.happens(arbiter.Move{Node: "arb", Group: "g", Epoch: s.ledger.Groups["g"].Epoch, To: rest})
	case "old": // what a node's former life does
		s.boots[w[1]]--
		defer func() { s.boots[w[1]]++ }()
		return s.other(w[1], w[2], w[3:])
	case "unseen": // what the machine does not see yet
		s.blind = true
		defer func() { s.blind = false }()
		return s.other(w[1], w[2], w[3:])
	case "maintenance": // on for some time, or off
		length, _ := time.ParseDuration(rest)
		return s.happens(arbiter.Maintain{
			Node: "arb", On: length > 0, Seen: s.ledger.Maintenance.Serial, ForMS: length.Milliseconds(), Operator: "ann", Reason: "patches",
		})
	case "attest":
		b := s.boot(w[1])
		return s.happens(arbiter.Attest{Node: "arb", Target: b, Seen: s.ledger.Nodes[b.Node].Beat, Operator: "ann", Reason: strings.Join(w[2:], " ")})
	case "confirm":
		b := s.ledger.Groups["g"].Suspect
		return s.happens(arbiter.Attest{Node: "arb", Target: b, Seen: s.ledger.Nodes[b.Node].Beat, Operator: "ann", Reason: rest})
	default:
		return s.other(w[0], w[1], w[2:])
	}
	return nil
}

// failure is the error that an answer like "promoted not: exit 1" carries.
func failure(rest string) error {
	if why, not := strings.CutPrefix(rest, "not: "); not {
		return errors.New(why)
	}
	return nil
}

// other is what another node does: it names the node, then the verb.
func (s *story) other(node, verb string, more []string) error {
	self, g := s.boot(node), s.ledger.Groups["g"]
	group := "g"
	if len(more) > 0 && more[0] == "h" {
		group, more = "h", more[1:]
		g = s.ledger.Groups["h"]
	}
	switch verb {
	case "registers":
		return s.happens(arbiter.Register{Boot: self, Seen: s.ledger.Nodes[node].Beat})
	case "reboots":
		s.boots[node]++
		return s.happens(arbiter.Register{Boot: s.boot(node), Seen: s.ledger.Nodes[node].Beat})
	case "forgets": // its state directory is lost: another incarnation on the same kernel
		self.Incarnation = "lost"
		return s.happens(arbiter.Register{Boot: self, Seen: s.ledger.Nodes[node].Beat})
	case "beats":
		return s.happens(arbiter.Beat{Boot: self})
	case "takes":
		return s.happens(arbiter.Take{Group: group, Boot: self, Protection: s.cfg.Protection, Seen: arbiter.See(s.ledger, group)})
	case "releases":
		return s.happens(arbiter.Release{Group: group, Boot: self, Epoch: g.Epoch, Dirty: len(more) > 0 && more[0] == "dirty"})
	case "intends":
		return s.happens(arbiter.Intent{Group: group, Boot: self, Epoch: g.Epoch, Suspect: g.Suspect})
	case "reports":
		return s.happens(arbiter.Report{Boot: self, Target: g.Suspect, Outcome: "unknown", Detail: "no answer"})
	case "clears":
		return s.happens(arbiter.Clear{Group: group, Boot: self, Epoch: g.Epoch, Suspect: g.Suspect, Evidence: arbiter.Evidence(more[0])})
	}
	return fmt.Errorf("unknown verb %q", verb)
}

// happens is a command of the world: agreed, and seen at once.
func (s *story) happens(c arbiter.Command) error {
	if err := s.commit(c); err != nil {
		s.say("ledger: %v", err)
	}
	s.see()
	return nil
}

func (s *story) commit(c arbiter.Command) error {
	next, err := arbiter.Apply(s.ledger, c)
	next.Index = s.ledger.Index + 1
	s.ledger = next
	return err
}

func (s *story) see() {
	if s.blind {
		return
	}
	if s.machine != nil {
		s.step(claim.Seen{Record: s.ledger})
	}
	if s.session != nil {
		s.stepSession(claim.Seen{Record: s.ledger})
	}
}

// boot is the life that a node is in.
func (s *story) boot(node string) arbiter.Boot {
	return arbiter.Boot{Node: node, Kernel: fmt.Sprintf("k%d", s.boots[node]+1), Incarnation: fmt.Sprintf("i%d", s.boots[node]+1)}
}

// begin makes the machine: machine NODE PROTECTION [outrank=a,c].
func (s *story) begin(w []string) error {
	s.cfg = claim.Config{Group: "g", Self: s.boot(w[0]), Protection: arbiter.Protection(w[1]), TTL: ttl, Margin: margin}
	for _, opt := range w[2:] {
		names, ok := strings.CutPrefix(opt, "outrank=")
		if !ok {
			return fmt.Errorf("unknown option %q", opt)
		}
		s.cfg.Outrank = strings.Split(names, ",")
	}
	s.machine = claim.New(s.cfg)
	s.step(claim.Ticked{})
	s.see()
	return nil
}

// restart is a new process of the same boot. With "keeping" it inherits what the old one had up.
func (s *story) restart(w []string) error {
	cfg := s.cfg
	if v := s.machine.View(); len(w) > 0 && w[0] == "keeping" {
		if !v.Keeps {
			s.say("nothing to keep")
			return s.restart(nil)
		}
		cfg.Inherited = &claim.Inheritance{Epoch: v.Group.Epoch, Deadline: v.Deadline}
	}
	s.machine, s.pending, s.said = claim.New(cfg), nil, ""
	s.blind = slices.Contains(w, "unseen")
	s.step(claim.Ticked{})
	s.see()
	return nil
}

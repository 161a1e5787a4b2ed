package claim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Role is a machine's part in its group, in the operator's words.
type Role string

// The roles of a member. An arbiter has no machine.
const (
	Holder   Role = "holder"
	Backup   Role = "backup"
	Claiming Role = "claiming"
	Fault    Role = "fault"
)

// View is what a machine shows of itself.
type View struct {
	Role     Role
	Group    arbiter.Group
	Up       bool          // the addresses may be up here
	Deadline time.Duration // of the lease, if Group.Holder is this boot
	Reason   string        // the rule that matched, in words
	Fencing  bool
	// Keeps says that a later process of this boot may go on where this one ends ([Inheritance]):
	// the service is promoted, the addresses are up, and nothing of that is being given up.
	Keeps bool
}

// View shows the machine as of its last step.
func (m *Machine) View() View {
	v := View{Group: m.group, Up: m.up, Reason: m.reason, Fencing: m.fencing, Role: Backup}
	switch {
	case m.mine() && m.up && m.boundTo > 0:
		v.Role = Holder
	case m.mine() && !m.leaves():
		v.Role = Claiming
	case !m.want && m.cfg.Protection != arbiter.ProtectVRRP:
		v.Role = Fault
	case m.service == unclean:
		v.Role = Fault
	}
	if m.mine() {
		v.Deadline = m.heldTo
	}
	v.Keeps = v.Role == Holder && m.service == promoted && !m.leaves() && m.dropped != m.group.Epoch
	return v
}

// MayFence reports whether the epoch's right to shoot still stands: for the last look right
// before an irreversible command.
func (m *Machine) MayFence(now time.Duration) bool { return m.mayFence(now) }

// Idle reports whether nothing is held, up or under way here: what a clean end waits for.
func (m *Machine) Idle() bool {
	busy := m.proposing || m.binding || m.unbinding || m.fencing || m.proof != nil
	return !busy && !m.up && !m.mine() && m.service == demoted && m.group.Suspect != m.cfg.Self
}

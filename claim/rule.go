package claim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// permit is the safety rule. The addresses may be up on this node only while the ledger says
// that we hold the group, nobody else is suspected of still having it up, we have not begun to
// take it down, and our lease has time left.
func (m *Machine) permit(now time.Duration) (Permit, bool) {
	p := Permit{group: m.cfg.Group, epoch: m.group.Epoch, until: m.heldTo - m.cfg.Margin, valid: true}
	if !m.mine() || !m.clear() || m.dropped == m.group.Epoch || now >= p.until {
		return Permit{}, false
	}
	return p, true
}

// decide is the whole policy, one rule at a time. The order matters: lose before hand back,
// before keep, before get; the first rule that matches wins. A rule that acts notes that its
// action is under way, so the next pass goes on to the next rule.
func (m *Machine) decide(now time.Duration) (Action, string) {
	permit, may := m.permit(now)
	if may {
		m.leave(now)
	}
	switch {
	// Lose.
	case m.up && !may && !m.unbinding && now >= m.unbindAt:
		return m.unbind(), "lost: " + m.lost(now)
	case m.service == promoting && (!may || m.leaves()) && !m.cancelled:
		m.cancelled = true
		return Cancel{}, "the promote hook is stopped: " + m.lost(now)
	case m.fencing && !m.mayFence(now) && !m.calledOff:
		m.calledOff = true
		return CallOff{}, "the right to fence is gone: " + m.lost(now)

	// Keep, while it may be kept at all: a planned hand-over demotes with the addresses up.
	case m.up && may && m.extends(now, permit):
		return m.bind(permit), "holding"

	// Hand back: demote, addresses down, release.
	case m.mustDemote(may) && now >= m.demoteAt:
		m.service = demoting
		return Demote{Epoch: m.ours, Planned: m.up && may}, "demoting: " + m.lost(now)
	case m.up && may && m.service != promoted && m.service != demoting && !m.unbinding && now >= m.unbindAt:
		return m.unbind(), "handing over: " + m.lost(now)
	case m.service == demoting || m.unbinding || m.up && !may:
		return nil, "stopping: " + m.lost(now)
	case m.mustRelease() && m.cfg.Protection == arbiter.ProtectVRRP:
		epoch := m.group.Epoch
		m.group.Holder = arbiter.Boot{}
		return Farewell{epoch}, "released"
	case m.mustRelease() && m.free2propose(now):
		return m.release(), "releasing: " + m.lost(now)
	case m.mustRelease():
		return nil, "releasing: " + m.lost(now)

	case m.up && may && now < m.boundTo:
		return nil, m.and("holding")
	case m.up && may:
		return nil, m.and("bringing the addresses up")

	// Finish what a fence found, whoever holds the group by now: the target's power is a fact.
	case m.proof != nil && m.intentIsOurs(m.proof.Suspect) && m.free2propose(now):
		return m.conclude(), "fenced " + m.proof.Suspect.Node + ": " + m.proof.Outcome
	case m.proof != nil && !m.intentIsOurs(m.proof.Suspect):
		m.proof = nil
		return m.decide(now)

	// Get.
	case m.service == unclean:
		return nil, m.and("the service may still be up; demoting it is tried again")
	case !m.want:
		return nil, m.why
	case m.mine() && !m.clear():
		return m.getProof(now)
	case m.mine() && !may:
		return nil, "waiting for a beat to be agreed"
	case m.mine() && m.service == demoted:
		m.service = promoting
		return Promote{permit}, "promoting"
	case m.mine() && m.service == promoting:
		return nil, "promoting"
	case m.mine() && m.service == promoted && !m.binding && now >= m.bindAt:
		return m.bind(permit), "bringing the addresses up"
	case m.mine():
		return nil, m.and("bringing the addresses up")
	case !m.seen && m.cfg.Protection != arbiter.ProtectVRRP:
		return nil, "waiting for the ledger"
	case m.cfg.Protection == arbiter.ProtectVRRP:
		return nil, m.and("trying again")
	case !m.rec.Current(m.cfg.Self):
		return nil, "this boot may not act: it is not registered yet, or was declared dead"
	case m.rec.Nodes[m.cfg.Self.Node].Barred:
		return nil, "this node was fenced and came back; it holds nothing until: solevip fence unfence " + m.cfg.Self.Node
	case m.group.Suspect.Node == m.cfg.Self.Node:
		return nil, m.and("this machine is the suspect: its own release or a peer's take-over ends that")
	case m.service != demoted:
		return nil, "the promote hook of an earlier epoch has not ended yet"
	}
	return m.challenge(now)
}

// getProof is what the holder of an epoch does while somebody else may still have the addresses
// up: agree on a fence, shoot, and agree on what it proved.
func (m *Machine) getProof(now time.Duration) (Action, string) {
	suspect := m.group.Suspect
	other, open := m.rec.OpenFence(suspect.Node)
	switch {
	case now < m.heldBack && m.group.Protection != arbiter.ProtectLease:
		return nil, m.maintenance()
	case !m.mayFence(now) && now >= m.heldBack:
		return nil, fmt.Sprintf("waiting for a beat to be agreed before %s is dealt with", suspect.Node)
	case m.group.Protection == arbiter.ProtectLease && m.free2propose(now):
		return m.propose(arbiter.Clear{
			Group: m.cfg.Group, Boot: m.cfg.Self, Epoch: m.group.Epoch, Suspect: suspect, Evidence: arbiter.Expired,
		}), fmt.Sprintf("the lease of %s expired", suspect.Node)
	case m.group.Protection == arbiter.ProtectLease || m.proof != nil:
		return nil, "waiting for the ledger"
	case m.fencing:
		return nil, "fencing " + suspect.Node
	case now < m.fenceAt:
		return nil, fmt.Sprintf("fencing %s failed (%s); trying again; if it is certainly off: solevip fence confirm %s", suspect.Node, m.lastFence, suspect.Node)
	case open && m.elsewhere(other, now):
		return nil, fmt.Sprintf("%s is fencing %s for %s", other.By.Node, suspect.Node, cmp.Or(other.Group, "operator "+other.Operator))
	case !(open && m.intends(other, suspect)) && m.free2propose(now):
		return m.propose(arbiter.Intent{
			Group: m.cfg.Group, Boot: m.cfg.Self, Epoch: m.group.Epoch, Suspect: suspect,
			Rival: arbiter.Rival{Boot: other.By, Beat: m.rec.Nodes[other.By.Node].Beat},
		}), "announcing the fence of " + suspect.Node
	case m.proposing || now < m.retryAt:
		return nil, "waiting for the ledger"
	}
	m.fencing, m.suspect = true, suspect
	return Fence{Group: m.cfg.Group, Suspect: suspect, Epoch: m.group.Epoch}, "fencing " + suspect.Node
}

// conclude tells the ledger what a fence found.
func (m *Machine) conclude() Action {
	p := m.proof
	if p.Off {
		return m.propose(arbiter.Clear{
			Group: m.cfg.Group, Boot: m.cfg.Self, Epoch: m.group.Epoch, Suspect: p.Suspect,
			Evidence: arbiter.PowerOffVerified, Method: p.Method, Detail: p.Detail,
		})
	}
	return m.propose(arbiter.Report{Boot: m.cfg.Self, Target: p.Suspect, Method: p.Method, Outcome: p.Outcome, Detail: p.Detail})
}

// challenge is how a node that does not hold the group gets it.
func (m *Machine) challenge(now time.Duration) (Action, string) {
	g := m.group
	at, ahead := m.takeable(now)
	switch {
	case now < m.takeAt:
		return nil, m.and("leaving it to others for a while")
	case !g.Holder.IsZero() && now < m.silentAt():
		return nil, fmt.Sprintf("%s holds it and renews", g.Holder.Node)
	case now < m.heldBack && m.shotNeeded():
		return nil, m.maintenance()
	case g.Next != "" && g.Next != m.cfg.Self.Node && now < at:
		return nil, "waiting for " + g.Next + ", which it was moved to"
	case now < at && ahead > 0:
		return nil, "free; a node with a higher priority comes first"
	case now < at:
		return nil, "free; watching its former holder's time run out"
	case !m.free2propose(now):
		return nil, "asking for it"
	}
	return m.propose(arbiter.Take{
		Group: m.cfg.Group, Boot: m.cfg.Self, Protection: m.cfg.Protection, Accept: m.cfg.Accept, Seen: arbiter.See(m.rec, m.cfg.Group),
	}), "asking for it"
}

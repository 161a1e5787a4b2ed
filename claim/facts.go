package claim

import (
	"fmt"
	"slices"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// mine reports whether the ledger says that this boot holds the group.
func (m *Machine) mine() bool { return m.group.Holder == m.cfg.Self && !m.cfg.Self.IsZero() }

// clear reports whether nobody but the holder can have the addresses up.
func (m *Machine) clear() bool { return m.group.Suspect.IsZero() }

// leaves reports whether this epoch is being given up, or should be.
func (m *Machine) leaves() bool { return !m.want || m.leaving == m.group.Epoch }

// leave begins to give the epoch up when the group is to move and its new node is alive.
func (m *Machine) leave(now time.Duration) {
	next := m.group.Next
	if m.mine() && next != "" && next != m.cfg.Self.Node && m.alive(next, now) {
		m.leaving = m.ours
	}
}

// mustDemote reports whether the service may be promoted and should not be.
func (m *Machine) mustDemote(may bool) bool {
	switch m.service {
	case promoted:
		return !may || m.leaves()
	case unclean:
		return true
	}
	return false
}

// mustRelease reports whether the group is ours to give back: held, or suspected, and down, and
// no shot under way whose right ends with the epoch.
func (m *Machine) mustRelease() bool {
	switch {
	case m.fencing || m.up || m.binding || m.service == promoting || m.service == demoting || m.service == promoted:
		return false
	case m.group.Suspect == m.cfg.Self && !m.cfg.Self.IsZero():
		return m.service == demoted // a failed demote is never reported as released
	}
	return m.mine() && (m.leaves() || m.dropped == m.group.Epoch)
}

// mayFence reports whether we are the owner of the newest epoch, the lease that says so still
// runs, and no maintenance holds shots back.
func (m *Machine) mayFence(now time.Duration) bool {
	return now >= m.heldBack && m.want && m.mine() && !m.clear() && m.leaving != m.group.Epoch &&
		(!m.fencing || m.group.Suspect == m.suspect) && now < m.heldTo-m.cfg.Margin
}

// intentIsOurs reports whether the ledger has our open intent to fence a boot.
func (m *Machine) intentIsOurs(target arbiter.Boot) bool {
	f, open := m.rec.OpenFence(target.Node)
	return open && f.By == m.cfg.Self && f.Target == target
}

// intends reports whether an open fence is this machine's own, at this epoch.
func (m *Machine) intends(f arbiter.Fence, suspect arbiter.Boot) bool {
	return f.By == m.cfg.Self && f.Target == suspect && f.Group == m.cfg.Group && f.Epoch == m.group.Epoch
}

// elsewhere reports whether an open fence is in good hands: of another boot that may act and is not
// still, or of this one for another group whose epoch it still owns.
func (m *Machine) elsewhere(f arbiter.Fence, now time.Duration) bool {
	if f.By != m.cfg.Self {
		return m.rec.Current(f.By) && !m.still(f.By.Node, now)
	}
	g := m.rec.Groups[f.Group]
	return f.Group != m.cfg.Group && g.Holder == f.By && g.Epoch == f.Epoch && g.Suspect == f.Target
}

// extends reports whether the kernel should be told of a longer permit.
func (m *Machine) extends(now time.Duration, p Permit) bool {
	if m.binding || m.unbinding || now < m.bindAt || m.service != demoting && m.service != promoted {
		return false
	}
	if m.cfg.Protection == arbiter.ProtectVRRP {
		return m.boundTo-now <= m.cfg.TTL*3/4-m.cfg.Margin
	}
	return p.until > m.boundTo
}

// silentAt is when the holder will have stood still for long enough.
func (m *Machine) silentAt() time.Duration {
	return m.stillSince + Takeover(m.cfg.TTL, m.cfg.Margin)
}

// takeable is when the group may be asked for, and how many nodes come first.
func (m *Machine) takeable(now time.Duration) (at time.Duration, ahead int) {
	g := m.group
	at = m.stillSince
	waits := !g.Holder.IsZero() || g.Suspect != arbiter.Boot{} && g.Protection == arbiter.ProtectLease ||
		g.Next != "" && g.Next != m.cfg.Self.Node
	if waits {
		at = m.silentAt()
	}
	if g.Next == m.cfg.Self.Node {
		return at, 0
	}
	for _, name := range m.cfg.Outrank {
		if name != g.Previous && name != g.Holder.Node && m.expected(name, now) {
			ahead++
		}
	}
	return at + time.Duration(ahead)*Beat(m.cfg.TTL), ahead
}

// alive reports whether a node's beat changed within the time that a holder is given, and it may take groups.
func (m *Machine) alive(name string, now time.Duration) bool {
	p, ok := m.pulses[name]
	return ok && !p.node.Fenced && !p.node.Barred && now < p.at+Takeover(m.cfg.TTL, m.cfg.Margin)
}

// expected is alive, or not yet watched for long enough to say.
func (m *Machine) expected(name string, now time.Duration) bool {
	if _, ok := m.pulses[name]; !ok {
		return now < m.born+Takeover(m.cfg.TTL, m.cfg.Margin)
	}
	return m.alive(name, now)
}

// still reports whether a node stood still for as long as a holder is given.
func (m *Machine) still(name string, now time.Duration) bool {
	p, ok := m.pulses[name]
	return ok && now >= p.at+Takeover(m.cfg.TTL, m.cfg.Margin)
}

// free2propose reports whether a proposal may be made: one at a time.
func (m *Machine) free2propose(now time.Duration) bool { return !m.proposing && now >= m.retryAt }

func (m *Machine) propose(c arbiter.Command) Action {
	m.proposing = true
	return Propose{c}
}

func (m *Machine) bind(p Permit) Action {
	m.binding, m.up = true, true
	return Bind{p}
}

func (m *Machine) unbind() Action {
	m.abandon(m.lost(m.now))
	m.unbinding = true
	return Unbind{m.ours}
}

// abandon ends our newest epoch: it is given back and never gets a permit again.
func (m *Machine) abandon(why string) {
	m.leaving, m.dropped, m.abandoned = m.ours, m.ours, why
}

// release offers the epoch back. From then on it never gets a permit again, whatever the answer:
// the release may be agreed at any later time, and a peer takes what is free at once.
func (m *Machine) release() Action {
	if m.mine() {
		m.abandon(m.lost(m.now))
	}
	return m.propose(arbiter.Release{
		Group: m.cfg.Group, Boot: m.cfg.Self, Epoch: m.group.Epoch, Dirty: m.service == unclean,
	})
}

// shotNeeded reports whether, as far as is known, nobody could bind the group without a shot: it was
// not given back, and expiry is no evidence.
func (m *Machine) shotNeeded() bool {
	g := m.group
	return (!g.Holder.IsZero() || !g.Suspect.IsZero()) && (m.cfg.Protection == arbiter.ProtectFence || g.Protection == arbiter.ProtectFence)
}

// maintenance says who holds shots back.
func (m *Machine) maintenance() string {
	p := m.rec.Maintenance
	return fmt.Sprintf("maintenance by %s (%s) holds shots back", p.Operator, p.Reason)
}

// lost says why the group is not kept.
func (m *Machine) lost(now time.Duration) string {
	switch {
	case !m.mine() && !m.group.Holder.IsZero():
		return fmt.Sprintf("%s holds it at epoch %d", m.group.Holder.Node, m.group.Epoch)
	case !m.mine() && m.group.Suspect == m.cfg.Self:
		return "this node is its suspect"
	case !m.mine():
		return "nobody holds it"
	case !m.want:
		return m.why
	case m.dropped == m.group.Epoch:
		return m.abandoned
	case now >= m.heldTo-m.cfg.Margin:
		return "the lease's deadline: no beat was agreed in time"
	case m.group.Next != "" && m.group.Next != m.cfg.Self.Node:
		return "it moves to " + m.group.Next
	case m.fencing && now < m.heldBack:
		return m.maintenance()
	case m.fencing && m.clear():
		return "the suspect is harmless by now: " + string(m.group.Evidence)
	}
	return m.trouble
}

// and is a reason, with the last trouble there was, if any.
func (m *Machine) and(reason string) string {
	if m.trouble == "" {
		return reason
	}
	return reason + "; " + m.trouble
}

// Wake is when the machine wants to be [Ticked] next, if nothing happens before.
func (m *Machine) Wake() (time.Duration, bool) {
	beat := Beat(m.cfg.TTL)
	at := []time.Duration{
		m.heldTo - m.cfg.Margin, m.silentAt(), m.retryAt, m.takeAt, m.fenceAt, m.bindAt, m.unbindAt, m.demoteAt, m.heldBack,
	}
	for i := range m.cfg.Outrank {
		at = append(at, m.stillSince+time.Duration(i+1)*beat, m.silentAt()+time.Duration(i+1)*beat)
	}
	for _, p := range m.pulses {
		at = append(at, p.at+Takeover(m.cfg.TTL, m.cfg.Margin))
	}
	if m.cfg.Protection == arbiter.ProtectVRRP {
		at = []time.Duration{m.takeAt, m.bindAt, m.unbindAt, m.demoteAt, m.boundTo - m.cfg.TTL*3/4 + m.cfg.Margin}
	}
	at = append(at, m.born+Takeover(m.cfg.TTL, m.cfg.Margin))
	at = slices.DeleteFunc(at, func(t time.Duration) bool { return t <= m.now })
	if len(at) == 0 {
		return 0, false
	}
	return slices.Min(at), true
}

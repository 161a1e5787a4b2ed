// Package claim is the safety rule: what this node may do about one group, and the [Permit].
//
// A [Machine] keeps facts: what the ledger says and since when it stood still, until when the
// lease runs, what is up here, what is under way. Events change facts; then one ordered switch
// (rule.go) says what to do. The order is the policy: losing comes before handing back, before
// keeping, before getting. A [Session] does the same for the node's one registration and beat.
//
// It does not do any of it: it starts no goroutine, reads no clock, and knows neither Raft nor
// netlink nor a power switch. Instants are readings of the caller's clock, which must count the
// time that the machine was suspended and must not be slewed.
package claim

import (
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Config is what a machine must know about its group and its node.
type Config struct {
	Group      string
	Self       arbiter.Boot
	Protection arbiter.Protection
	Accept     arbiter.Accept // which evidence suffices
	// TTL is how long a beat is good for, counted from before it was sent.
	TTL time.Duration
	// Margin is how long before the deadline the addresses must be down, and how much longer
	// than the TTL a challenger waits.
	Margin time.Duration
	// Outrank names the nodes with a higher priority than ours: a free group is left to them
	// for one beat each while they are alive.
	Outrank []string
	// Inherited is what a former process of this boot left up, if its lease still runs.
	Inherited *Inheritance
}

// Inheritance is a group that a former process of the same boot held and had up.
type Inheritance struct {
	Epoch    uint64
	Deadline time.Duration // of the lease, on the same clock
}

// driftPercent is by how much the rates of two machines' clocks may differ (docs/safety.md).
const driftPercent = 1

// Beat is how long a node waits between two beats.
func Beat(ttl time.Duration) time.Duration { return ttl / 4 }

// Takeover is how long a challenger must watch a holder stand still: the TTL as the fastest
// allowed clock counts it, and the margin.
func Takeover(ttl, margin time.Duration) time.Duration {
	return ttl + ttl*driftPercent/100 + margin
}

// service is what the hooks have made of the service behind the group.
type service int

const (
	demoted   service = iota // never promoted, or a demote hook finished
	promoting                // a promote hook runs
	promoted                 // a promote hook finished
	unclean                  // it may be promoted: a hook failed, or a former process left it
	demoting                 // a demote hook runs
)

// pulse is a node's beat and when we saw it change.
type pulse struct {
	node arbiter.Node
	at   time.Duration
}

// Machine decides about one group on one node. The zero value is useless; see [New].
type Machine struct {
	cfg  Config
	born time.Duration
	now  time.Duration // of the last step

	// What the ledger says.
	rec        arbiter.Record
	group      arbiter.Group
	seen       bool          // a record came; until then group is inherited or empty
	heldBack   time.Duration // until when a maintenance holds our shots back
	stillSince time.Duration // when the sight that a challenger quotes last changed
	pulses     map[string]pulse

	// What we may and want.
	heldTo    time.Duration // the lease's deadline; counts only while the group is ours
	want      bool
	why       string // why not, when not wanted
	ours      uint64 // the newest epoch at which we held the group
	leaving   uint64 // epoch that we have begun to give up; it is never kept again
	dropped   uint64 // epoch whose addresses we took down or that we offered back; it never gets a permit again
	abandoned string // why we did

	// What is up here.
	service service
	up      bool          // the addresses may be up: true from Bind until a finished Unbind
	boundTo time.Duration // until when the kernel keeps them up

	// What is under way, and what came of it.
	proposing, binding, unbinding, fencing, calledOff, cancelled bool

	suspect   arbiter.Boot // what fencing aims at
	proof     *Fenced      // an outcome that the ledger does not have yet
	retryAt   time.Duration
	takeAt    time.Duration
	fenceAt   time.Duration
	bindAt    time.Duration
	unbindAt  time.Duration
	demoteAt  time.Duration
	failures  int // attempts to hold the group that failed in a row
	binds     int // binds that failed in a row
	misses    int // fences that failed in a row
	trouble   string
	lastFence string

	reason string
}

// New is a machine that has seen nothing yet. With an inheritance it begins as the holder
// that the former process was, until the inherited deadline or the first record, whichever
// says otherwise.
func New(cfg Config) *Machine {
	m := &Machine{cfg: cfg, pulses: map[string]pulse{}, want: true, born: -1}
	if cfg.Protection == arbiter.ProtectVRRP {
		m.want, m.why = false, "the active router is heard, or was not yet missed"
	}
	if in := cfg.Inherited; in != nil {
		m.group = arbiter.Group{Epoch: in.Epoch, Holder: cfg.Self}
		m.ours, m.heldTo, m.boundTo = in.Epoch, in.Deadline, in.Deadline-cfg.Margin
		m.up, m.service = true, promoted
	}
	return m
}

// Step takes an event at an instant and returns what to do, in order.
func (m *Machine) Step(now time.Duration, e Event) []Action {
	if m.born < 0 {
		m.born = now
	}
	m.now = now
	out := m.learn(now, e)
	m.selfGrant(now)
	for {
		a, reason := m.decide(now)
		m.reason = reason
		if a == nil {
			return out
		}
		out = append(out, a)
	}
}

// learn updates the facts.
func (m *Machine) learn(now time.Duration, e Event) []Action {
	switch e := e.(type) {
	case Seen:
		m.observe(now, e.Record)
	case Renewed:
		m.observe(now, e.Record)
		m.renew(e.Sent, e.Record)
	case Wanted:
		m.want, m.why = e.Up, e.Why
	case Proposed:
		return m.proposed(now, e)
	case Fenced:
		m.afterFence(now, e)
	case Promoted:
		m.afterPromote(now, e.Err)
	case Demoted:
		m.afterDemote(now, e.Err)
	case Bound:
		return m.afterBind(now, e)
	case Unbound:
		m.afterUnbind(now, e.Err)
	}
	return nil
}

// observe takes a newer record. What changed restarts the watch of a challenger.
func (m *Machine) observe(now time.Duration, r arbiter.Record) {
	if m.seen && r.Index <= m.rec.Index || m.cfg.Protection == arbiter.ProtectVRRP {
		return
	}
	for name, n := range r.Nodes {
		if p, ok := m.pulses[name]; !ok || p.node != n {
			m.pulses[name] = pulse{n, now}
		}
	}
	if p := r.Maintenance; !m.seen || p.Serial != m.rec.Maintenance.Serial {
		m.heldBack = 0
		if p.On {
			m.heldBack = now + p.For()
		}
	}
	group := r.Groups[m.cfg.Group]
	if !m.seen || arbiter.See(r, m.cfg.Group) != arbiter.See(m.rec, m.cfg.Group) {
		m.stillSince = now
	}
	if group.Epoch != m.group.Epoch || group.Holder != m.cfg.Self {
		m.heldTo = 0
	}
	if group.Holder == m.cfg.Self {
		m.ours = group.Epoch
	}
	if !m.seen && m.cfg.Inherited == nil && m.follows(r, group) {
		m.service = unclean
		m.abandon("left by an earlier process")
	}
	if group.Suspect != m.group.Suspect {
		m.fenceAt, m.misses = 0, 0
	}
	m.rec, m.group, m.seen = r, group, true
}

// follows reports whether a former process ran under this kernel and may have left the service up:
// nobody knows what became of it, so it is demoted, and what was held is given back. Of a group
// under lease the ledger need not show it, because expiry clears a suspect whose service still runs.
func (m *Machine) follows(r arbiter.Record, group arbiter.Group) bool {
	former := r.Nodes[m.cfg.Self.Node].Boot
	return group.Holder == m.cfg.Self || group.Suspect == m.cfg.Self ||
		m.cfg.Protection == arbiter.ProtectLease && former.Kernel == m.cfg.Self.Kernel
}

// renew extends the lease by a committed renewal: only when we held this very epoch as of its
// commit, and counted from before it was sent.
func (m *Machine) renew(sent time.Duration, at arbiter.Record) {
	g := at.Groups[m.cfg.Group]
	if m.mine() && g.Holder == m.cfg.Self && g.Epoch == m.group.Epoch {
		m.heldTo = max(m.heldTo, sent+m.cfg.TTL)
	}
}

// selfGrant stands in for the ledger in a group that has none: protection vrrp.
func (m *Machine) selfGrant(now time.Duration) {
	if m.cfg.Protection != arbiter.ProtectVRRP {
		return
	}
	if m.want && !m.mine() && !m.up && m.service == demoted && now >= m.takeAt {
		m.ours++
		m.group = arbiter.Group{Epoch: m.ours, Holder: m.cfg.Self}
	}
	m.heldTo = now + m.cfg.TTL
}

// Pauses between attempts, where nothing else says when to try again.
const (
	retryPause = 100 * time.Millisecond // a proposal without an answer, a failed netlink call
	firstPause = time.Second            // a failed hook or fence; doubled up to longPause
	longPause  = 30 * time.Second

	demotePause = 5 * time.Second // between attempts to demote
)

func backoff(failures int) time.Duration {
	return min(longPause, firstPause<<min(max(failures-1, 0), 10))
}

// proposed takes the ledger's answer.
func (m *Machine) proposed(now time.Duration, e Proposed) []Action {
	m.proposing = false
	if e.Record.Index > 0 {
		m.observe(now, e.Record)
	}
	if e.Err != nil {
		m.retryAt = now + retryPause
		if _, ok := e.Command.(arbiter.Clear); ok && arbiter.RefusedAs(e.Err) != "" {
			m.proof = nil
		}
		if _, ok := e.Command.(arbiter.Report); ok && arbiter.RefusedAs(e.Err) != "" {
			m.proof = nil
		}
		return nil
	}
	switch c := e.Command.(type) {
	case arbiter.Take:
		m.renew(e.Sent, e.Record)
	case arbiter.Clear:
		m.proof, m.misses, m.lastFence = nil, 0, ""
	case arbiter.Report:
		m.proof = nil
	case arbiter.Release:
		if !c.Dirty && c.Epoch == m.ours { // and not as the suspect of somebody else's epoch
			return []Action{Farewell{c.Epoch}}
		}
	}
	return nil
}

func (m *Machine) afterFence(now time.Duration, e Fenced) {
	m.fencing, m.calledOff, m.proof = false, false, &e
	if !e.Off {
		m.misses++
		m.fenceAt, m.lastFence = now+backoff(m.misses), e.Outcome+": "+e.Detail
	}
}

func (m *Machine) afterPromote(now time.Duration, err error) {
	m.cancelled = false
	if err == nil {
		m.service = promoted
		return
	}
	m.service, m.leaving, m.trouble = unclean, m.ours, "the promote hook failed: "+err.Error()
	m.fail(now)
}

func (m *Machine) afterDemote(now time.Duration, err error) {
	if err == nil {
		m.service = demoted
		return
	}
	m.service, m.demoteAt, m.trouble = unclean, now+demotePause, "the demote hook failed: "+err.Error()
	m.fail(now)
}

func (m *Machine) afterBind(now time.Duration, e Bound) []Action {
	m.binding = false
	if e.Err != nil {
		m.bindAt, m.trouble = now+retryPause, "the kernel: "+e.Err.Error()
		m.binds++
		if m.binds >= maxBinds && now >= m.boundTo {
			m.leaving = m.ours
			m.fail(now)
		}
		return nil
	}
	first := m.boundTo <= now
	m.binds, m.failures, m.trouble, m.boundTo = 0, 0, "", e.Permit.Until()
	if first && m.up && !m.unbinding {
		return []Action{Announce{e.Permit}}
	}
	return nil
}

func (m *Machine) afterUnbind(now time.Duration, err error) {
	m.unbinding = false
	if err != nil {
		m.unbindAt, m.trouble = now+retryPause, "the kernel: "+err.Error()
		return
	}
	m.up, m.boundTo = false, 0
}

// maxBinds is how many binds may fail in a row, with the addresses down, before the group is given back.
const maxBinds = 5

// fail puts off the next attempt to get the group, so that another node comes first.
func (m *Machine) fail(now time.Duration) {
	m.failures++
	m.binds, m.takeAt = 0, now+backoff(m.failures)
}

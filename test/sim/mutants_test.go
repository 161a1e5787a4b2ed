package sim

import (
	"testing"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// mutant is a planted bug and where it shows. A suite that lets one live is too kind.
type mutant struct {
	name       string
	protection arbiter.Protection
	seeds      uint64      // within which it must be caught; three times what it needs, or more
	bend       func(*Plan) // the world in which it shows soonest
	bug        Bug
}

var mutants = []mutant{
	{name: "a grant counts from its answer", protection: arbiter.ProtectLease, seeds: 300, bug: Bug{CountFromAnswer: true}},
	{name: "a beat without an answer counts", protection: arbiter.ProtectLease, seeds: 300, bug: Bug{BeatUnknown: true}},
	{name: "no margin", protection: arbiter.ProtectLease, seeds: 600, bug: Bug{NoMargin: true}},
	{name: "clocks drift by more than is covered", protection: arbiter.ProtectLease, seeds: 300, bend: func(p *Plan) { p.Drift = 50_000 }},
	{name: "no dead-man in the kernel, under lease", protection: arbiter.ProtectLease, seeds: 100, bend: func(p *Plan) { p.DeadMan = false }},
	{name: "addresses are never taken down", protection: arbiter.ProtectFence, seeds: 100, bug: Bug{NoUnbind: true}},
	{name: "a fence says off without having tried", protection: arbiter.ProtectFence, seeds: 100, bug: Bug{SkipFence: true}},
	{name: "a fence that was called off shoots", protection: arbiter.ProtectFence, seeds: 600, bug: Bug{ShootAnyway: true}},
	{name: "the permit ignores the suspect", protection: arbiter.ProtectFence, seeds: 100, bug: Bug{Event: ignoreSuspect}},
	{name: "a fence's proof counts before it is agreed", protection: arbiter.ProtectFence, seeds: 300, bug: Bug{Event: localProof}},
	{name: "take does not compare beats", protection: arbiter.ProtectLease, seeds: 900, bug: Bug{Apply: takeAnyBeat}},
	{name: "stillness is not watched", protection: arbiter.ProtectLease, seeds: 100, bug: Bug{Event: deafToBeats, Apply: takeAnyBeat}},
	{name: "a take forgets the older suspect", protection: arbiter.ProtectFence, seeds: 300, bug: Bug{Apply: forgetSuspect}},
	{name: "a late release counts for any epoch", protection: arbiter.ProtectFence, seeds: 1500, bend: func(p *Plan) { p.Copies = 25 }, bug: Bug{Apply: anyEpoch}},
	{name: "expiry clears under fence", protection: arbiter.ProtectFence, seeds: 100, bug: Bug{Apply: expiryWillDo}},
	{name: "a failed demote counts as done", protection: arbiter.ProtectFence, seeds: 100, bug: Bug{DemoteLies: true}},
	{name: "a restart sweeps nothing", protection: arbiter.ProtectFence, seeds: 300, bend: func(p *Plan) { p.DeadMan = false }, bug: Bug{NoSweep: true}},
	{name: "a restart inherits after the lease", protection: arbiter.ProtectLease, seeds: 300, bug: Bug{InheritLate: true}},
}

// TestMutants plants each bug and wants it caught.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= m.seeds; seed++ {
				p := PlanOf(seed, m.protection)
				if m.bend != nil {
					m.bend(&p)
				}
				p.Bug = m.bug
				if found := New(p, nil).Run(); found != "" {
					t.Logf("caught by seed %d: %s", seed, found)
					return
				}
			}
			t.Errorf("lives through %d seeds", m.seeds)
		})
	}
}

// records gives each record that a machine is told to change.
func records(e claim.Event, change func(*arbiter.Record)) claim.Event {
	switch e := e.(type) {
	case claim.Seen:
		change(&e.Record)
		return e
	case claim.Renewed:
		change(&e.Record)
		return e
	case claim.Proposed:
		if e.Record.Index > 0 {
			change(&e.Record)
		}
		return e
	}
	return e
}

// withoutSuspect is a record in which a group's suspect is nobody.
func withoutSuspect(r *arbiter.Record, group string) {
	groups := map[string]arbiter.Group{}
	for name, g := range r.Groups {
		if name == group {
			g.Suspect = arbiter.Boot{}
		}
		groups[name] = g
	}
	r.Groups = groups
}

func ignoreSuspect(g *group, e claim.Event) claim.Event {
	return records(e, func(r *arbiter.Record) { withoutSuspect(r, g.name) })
}

// localProof lets a machine that has proof go on as if the ledger had agreed on it.
func localProof(g *group, e claim.Event) claim.Event {
	f, ok := e.(claim.Fenced)
	if !ok || !f.Off {
		return e
	}
	r := g.p.n.replica
	withoutSuspect(&r, g.name)
	r.Index++
	return claim.Seen{Record: r}
}

// deafToBeats shows a machine records in which no other node ever beats.
func deafToBeats(g *group, e claim.Event) claim.Event {
	return records(e, func(r *arbiter.Record) {
		nodes := map[string]arbiter.Node{}
		for name, n := range r.Nodes {
			if name != g.p.n.name {
				n.Beat = 0
			}
			nodes[name] = n
		}
		r.Nodes = nodes
	})
}

func takeAnyBeat(r arbiter.Record, c arbiter.Command) (arbiter.Record, error) {
	if t, ok := c.(arbiter.Take); ok {
		t.Seen.Beat = arbiter.See(r, t.Group).Beat
		c = t
	}
	return arbiter.Apply(r, c)
}

func forgetSuspect(r arbiter.Record, c arbiter.Command) (arbiter.Record, error) {
	next, err := arbiter.Apply(r, c)
	if t, ok := c.(arbiter.Take); ok && err == nil && !r.Groups[t.Group].Holder.IsZero() {
		groups := map[string]arbiter.Group{}
		for name, g := range next.Groups {
			groups[name] = g
		}
		g := groups[t.Group]
		g.Suspect = r.Groups[t.Group].Holder
		groups[t.Group] = g
		next.Groups = groups
	}
	return next, err
}

func anyEpoch(r arbiter.Record, c arbiter.Command) (arbiter.Record, error) {
	if l, ok := c.(arbiter.Release); ok && r.Groups[l.Group].Suspect == l.Boot {
		l.Epoch = r.Groups[l.Group].Epoch
		c = l
	}
	return arbiter.Apply(r, c)
}

// expiryWillDo lets a shot be called off by a suspect's silence: the clear that an intent should
// have led to.
func expiryWillDo(r arbiter.Record, c arbiter.Command) (arbiter.Record, error) {
	next, err := arbiter.Apply(r, c)
	if i, ok := c.(arbiter.Intent); ok && err == nil {
		withoutSuspect(&next, i.Group)
	}
	return next, err
}

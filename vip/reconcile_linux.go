package vip

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/solevip/solevip/claim"
)

// Reconcile compares the kernel with what was permitted and puts right what differs, the dangerous first: a missing
// guard, permits that ran out, addresses that must not be there, and only then what is missing. Call it whenever
// something may have changed; it costs little when nothing has.
func (k *Kernel) Reconcile() ([]Change, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var changes []Change
	reinstalled, err := k.checkGuard()
	if reinstalled {
		changes = append(changes, Change{What: GuardReinstall})
	}
	errs := []error{err}
	for _, step := range []func() ([]Change, error){k.lapse, k.closeStrays, k.removeStrays, k.restore} {
		done, err := step()
		changes = append(changes, done...)
		errs = append(errs, err)
	}
	return changes, errors.Join(errs...)
}

// lapse takes groups down whose time is up.
func (k *Kernel) lapse() ([]Change, error) {
	now := k.clock()
	var changes []Change
	var over []*group
	for _, g := range k.sorted() {
		if g.until() > 0 && !g.may(now) {
			over = append(over, g)
			changes = append(changes, Change{What: Lapsed, Group: g.name})
			g.permit, g.adopted = claim.Permit{}, 0
		}
	}
	return changes, k.lower(over)
}

// closeStrays closes the guard for what has no permit.
func (k *Kernel) closeStrays() ([]Change, error) {
	open, err := k.guard.anyLive()
	if err != nil {
		return nil, err
	}
	now := k.clock()
	var changes []Change
	var stray []netip.Addr
	for _, ip := range open {
		g := k.owner[ip]
		if g != nil && g.may(now) {
			continue
		}
		stray = append(stray, ip)
		change := Change{What: GuardClosed, Address: ip}
		if g != nil {
			change.Group = g.name
		}
		changes = append(changes, change)
	}
	return changes, k.shut(stray)
}

// removeStrays deletes guarded addresses without a permit, on another link, or with another prefix than configured.
func (k *Kernel) removeStrays() ([]Change, error) {
	present, err := k.present()
	if err != nil {
		return nil, err
	}
	links, _ := k.links.find(k.interfaces(k.sorted()))
	now := k.clock()
	var changes []Change
	var stray []found
	for _, f := range present {
		g := k.owner[f.addr]
		if g.may(now) && slices.ContainsFunc(g.addrs, func(a Address) bool { return f.is(a, links) }) {
			continue
		}
		stray = append(stray, f)
		changes = append(changes, Change{Removed, g.name, f.addr, k.links.name(f.index)})
	}
	return changes, k.links.drop(stray)
}

// restore brings back what a valid permit allows and the kernel has lost: guard, address, or its end of life.
func (k *Kernel) restore() ([]Change, error) {
	live, err := k.guard.live()
	if err != nil {
		return nil, err
	}
	present, err := k.present()
	if err != nil {
		return nil, err
	}
	links, _ := k.links.find(k.interfaces(k.sorted()))
	on := map[netip.Addr]found{}
	for _, f := range present {
		on[f.addr] = f
	}
	now := k.clock()
	var changes []Change
	var closed, missing []*group
	for _, g := range k.sorted() {
		if !g.permit.Valid(now) || g.permit.Until()-now < 2*shortest {
			continue
		}
		open, all := groupSpan(g, live)
		if !all || open.last > g.permit.Until()-now+jitter { // a reload may bring an element back with another end
			g.open = 0
			closed = append(closed, g)
			changes = append(changes, Change{What: GuardOpened, Group: g.name})
			continue
		}
		lost := lostAddresses(g, on, links, now)
		if len(lost) > 0 {
			missing = append(missing, g)
			changes = append(changes, lost...)
		}
	}
	return changes, errors.Join(k.raise(closed), k.place(missing))
}

// lostAddresses lists a group's addresses that aren't on their link, or that something gave a longer life.
func lostAddresses(g *group, on map[netip.Addr]found, links map[string]link, now time.Duration) []Change {
	const rounding = 2 // seconds: valid_lft is rounded up by one, and read at another moment
	var lost []Change
	for _, a := range g.addrs {
		f, there := on[a.IP()]
		longest := int((g.permit.Until()-now)/time.Second) + rounding
		if !there || !f.is(a, links) || f.life == 0 || f.life > longest {
			lost = append(lost, Change{Restored, g.name, a.IP(), a.Interface})
		}
	}
	return lost
}

func (k *Kernel) present() ([]found, error) {
	return k.links.list(func(a netip.Addr) bool { return k.owner[a] != nil })
}

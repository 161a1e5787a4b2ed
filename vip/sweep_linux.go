package vip

import (
	"errors"
	"net/netip"
	"slices"
)

// takeOver installs the guard over what an earlier life left. Addresses that it guarded and we don't stay guarded
// until they are swept: they may still be on a link.
func (k *Kernel) takeOver() error {
	old, err := k.guard.exists()
	if err != nil {
		return err
	}
	if old {
		before, err := k.guard.members(k.guard.guarded4, k.guard.guarded6)
		if err != nil {
			k.log.Warn("what an earlier daemon guarded can't be read; addresses that only it knew are not swept", "err", err)
		}
		k.former = slices.DeleteFunc(before, func(a netip.Addr) bool { return k.owner[a] != nil })
	}
	return k.install()
}

// Sweep clears what an earlier life left behind, on any link, but for the groups in keep: those stay up, without a
// flap, until their guard closes or the next Bind. A kept group that isn't up any more is swept like the others.
func (k *Kernel) Sweep(keep []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, errUnknown := k.lookup(keep)
	live, err := k.guard.live()
	if err != nil {
		return err
	}
	now := k.clock()
	var rest []*group
	for _, g := range k.sorted() {
		if g.may(now) {
			continue // bound in this life: nothing is left over
		}
		open, all := groupSpan(g, live)
		if slices.Contains(kept, g) && all {
			g.adopted, g.open = now+open.last, now+open.first
			g.tenure = g.adopted
			k.log.Info("addresses adopted", "group", g.name, "for", open.first)
			continue
		}
		rest = append(rest, g)
	}
	return errors.Join(errUnknown, k.lower(rest), k.sweepFormer())
}

// sweepFormer closes and deletes the addresses of an earlier life that are ours no more. One that has no end of life
// isn't from there: it stays, and isn't guarded any longer.
func (k *Kernel) sweepFormer() error {
	if len(k.former) == 0 {
		return nil
	}
	if err := k.shut(k.former); err != nil {
		return err
	}
	present, err := k.links.list(func(a netip.Addr) bool { return slices.Contains(k.former, a) })
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(present, func(f found) bool { return f.life == 0 })
	if err := k.links.drop(ours); err != nil {
		return err
	}
	k.former = nil
	return k.install()
}

// groupSpan is the time for which all addresses of a group are let through, and whether they are.
func groupSpan(g *group, live map[netip.Addr]span) (open span, all bool) {
	for i, ip := range g.ips() {
		s, ok := live[ip]
		if !ok {
			return span{}, false
		}
		if i == 0 {
			open = s
		}
		open = span{min(open.first, s.first), max(open.last, s.last)}
	}
	return open, true
}

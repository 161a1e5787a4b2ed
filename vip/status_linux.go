package vip

import (
	"net/netip"
	"slices"
)

// Status reads what the kernel has.
func (k *Kernel) Status() (Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Table: k.guard.name, Owned: k.guard.owned, Lateness: k.lateness}
	live, err := k.guard.live()
	if err != nil {
		return s, err
	}
	present, err := k.links.list(func(a netip.Addr) bool { return k.owner[a] != nil })
	if err != nil {
		return s, err
	}
	links, _ := k.links.find(k.interfaces(k.sorted())) // one that is missing has no addresses
	now := k.clock()
	for _, g := range k.sorted() {
		status := GroupStatus{Group: g.name, Epoch: g.permit.Epoch(), Up: true}
		if g.may(now) {
			status.Until = g.until()
		}
		for _, a := range g.addrs {
			on := slices.ContainsFunc(present, func(f found) bool { return f.is(a, links) })
			status.Addresses = append(status.Addresses, AddressStatus{a, on, live[a.IP()].first})
			status.Up = status.Up && on && live[a.IP()].first > 0
		}
		s.Groups = append(s.Groups, status)
	}
	return s, nil
}

// is reports whether an address on a link is the one that was configured.
func (f found) is(a Address, links map[string]link) bool {
	on, known := links[a.Interface]
	return known && f.index == on.index && netip.PrefixFrom(f.addr, f.prefix) == a.Bound() && f.peer == f.addr
}

func (k *Kernel) interfaces(groups []*group) []string {
	var names []string
	for _, g := range groups {
		for _, a := range g.addrs {
			names = append(names, a.Interface)
		}
	}
	return names
}

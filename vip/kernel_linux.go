package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/solevip/solevip/claim"
)

// Kernel holds addresses in the network namespace that it was opened in. Its methods may be called from any goroutine;
// they run one at a time.
type Kernel struct {
	log   *slog.Logger
	clock func() time.Duration

	mu       sync.Mutex
	guard    *guard
	links    *links
	sockets  *sockets
	frames   *frames
	events   *events
	groups   map[string]*group
	owner    map[netip.Addr]*group
	former   []netip.Addr  // guarded by an earlier life and ours no more: closed until Sweep has seen to them
	slack    time.Duration // how much earlier than permitted the guard is armed to close: the time that arming takes
	lateness time.Duration // worst of guard closed less permit's end
	armed    bool          // lateness has been measured
}

// group is one group's addresses and what was last permitted.
type group struct {
	name  string
	addrs []Address

	permit  claim.Permit  // the last one; the zero Permit when the group is to be down
	adopted time.Duration // kept from an earlier life by Sweep: allowed until then without a permit
	open    time.Duration // the guard surely lets all addresses through until then; 0: closed
	used    bool          // conversations of an earlier tenure may be left: true from Bind until they are destroyed
}

// until is the reading of the clock up to which the addresses may be up.
func (g *group) until() time.Duration { return max(g.permit.Until(), g.adopted) }

// may reports whether the addresses may be up.
func (g *group) may(now time.Duration) bool { return g.permit.Valid(now) || now < g.adopted }

// ips lists the group's addresses.
func (g *group) ips() []netip.Addr {
	ips := make([]netip.Addr, len(g.addrs))
	for i, a := range g.addrs {
		ips[i] = a.IP()
	}
	return ips
}

// Open installs the guard: from here on every address listed is silent, unless an earlier life left it live. It takes
// the network namespace of the calling thread and needs CAP_NET_ADMIN and CAP_NET_RAW. Call Sweep next.
func Open(o Options) (*Kernel, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	k := &Kernel{
		log: o.Log, clock: o.Clock, slack: leastSlack,
		groups: map[string]*group{}, owner: map[netip.Addr]*group{},
	}
	for name, addrs := range o.Addresses {
		g := &group{name: name, addrs: slices.Clone(addrs), used: true}
		k.groups[name] = g
		for _, a := range addrs {
			k.owner[a.IP()] = g
		}
	}
	if err := k.dial(o); err != nil {
		return nil, errors.Join(err, k.hangUp())
	}
	if err := k.takeOver(); err != nil {
		return nil, errors.Join(err, k.hangUp())
	}
	k.log.Info("guard installed", "table", k.guard.name, "addresses", len(k.owner), "owned", k.guard.owned)
	return k, nil
}

// dial opens every socket, so that all of them belong to the namespace of this thread.
func (k *Kernel) dial(o Options) (err error) {
	if k.guard, err = dialGuard(tableName(o.Name), !o.shared); err != nil {
		return err
	}
	if k.links, err = dialLinks(); err != nil {
		return err
	}
	if k.sockets, err = dialSockets(); err != nil {
		return err
	}
	if k.frames, err = dialFrames(); err != nil {
		return err
	}
	k.events, err = dialEvents()
	return err
}

// takeOver installs the guard over what an earlier life left. Addresses that it guarded and we don't stay guarded
// until they are swept: they may still be on a link.
func (k *Kernel) takeOver() error {
	old, err := k.guard.exists()
	if err != nil {
		return err
	}
	if old {
		before, err := k.guard.members(k.guard.guarded4, k.guard.guarded6)
		if err == nil {
			k.former = slices.DeleteFunc(before, func(a netip.Addr) bool { return k.owner[a] != nil })
		}
	}
	return k.install()
}

func (k *Kernel) install() error {
	all := slices.Clone(k.former)
	for a := range k.owner {
		all = append(all, a)
	}
	return k.guard.install(all)
}

// Unbind takes groups down, whatever they were: guard closed first, then the addresses deleted, then their
// connections destroyed. What is gone already is no error. Groups that failed are named by FailedGroups; their guard
// has closed or closes by itself at the permit's end.
func (k *Kernel) Unbind(names ...string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	groups, err := k.lookup(names)
	for _, g := range groups {
		g.permit, g.adopted = claim.Permit{}, 0
	}
	return errors.Join(err, k.lower(groups))
}

func (k *Kernel) lookup(names []string) ([]*group, error) {
	var groups []*group
	var errs []error
	for _, name := range names {
		g, known := k.groups[name]
		if !known {
			errs = append(errs, &GroupError{name, errors.New("not a group that this node may hold")})
			continue
		}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups, errors.Join(errs...)
}

// lower puts groups down in the kernel.
func (k *Kernel) lower(groups []*group) error {
	if len(groups) == 0 {
		return nil
	}
	members := map[netip.Addr]bool{}
	var ips []netip.Addr
	for _, g := range groups {
		g.open = 0
		for _, ip := range g.ips() {
			members[ip] = true
			ips = append(ips, ip)
		}
	}
	return k.blame(groups, errors.Join(k.shut(ips), k.clear(members), k.endConversations(groups)))
}

// blame puts every group's name on an error that concerns them all.
func (k *Kernel) blame(groups []*group, err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for _, g := range groups {
		errs = append(errs, &GroupError{g.name, err})
	}
	return errors.Join(errs...)
}

// shut closes the guard for addresses. If the tables are gone they are installed anew, closed.
func (k *Kernel) shut(ips []netip.Addr) error {
	err := k.guard.shut(ips)
	if errors.Is(err, errLapsed) {
		k.log.Warn("guard was missing and is installed anew, closed", "table", k.guard.name)
		k.closeAll()
		return k.install()
	}
	return err
}

// closeAll notes that the guard lets nothing through any more.
func (k *Kernel) closeAll() {
	for _, g := range k.groups {
		g.open = 0
	}
}

// clear deletes addresses from all links.
func (k *Kernel) clear(ips map[netip.Addr]bool) error {
	present, err := k.links.list(func(a netip.Addr) bool { return ips[a] })
	if err != nil || len(present) == 0 {
		return err
	}
	return k.links.drop(present)
}

// endConversations destroys what connections the groups' addresses have left.
func (k *Kernel) endConversations(groups []*group) error {
	gone := map[netip.Addr]bool{}
	for _, g := range groups {
		if g.used {
			for _, ip := range g.ips() {
				gone[ip] = true
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	killed, err := k.sockets.destroy(gone)
	err = errors.Join(err, k.forget(gone))
	if killed > 0 {
		k.log.Info("connections destroyed", "count", killed)
	}
	if err == nil {
		for _, g := range groups {
			g.used = false
		}
	}
	return err
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

func (k *Kernel) sorted() []*group {
	groups := make([]*group, 0, len(k.groups))
	for _, name := range groupNames(k.groups) {
		groups = append(groups, k.groups[name])
	}
	return groups
}

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

// Close lets go of the kernel. While a group is up, or may be, the guard stays behind and closes on time: a successor
// adopts it. Otherwise the tables are removed, and nothing is left.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock()
	var err error
	if !slices.ContainsFunc(k.sorted(), func(g *group) bool { return g.may(now) }) {
		if err = k.leave(); err != nil {
			err = fmt.Errorf("guard stays in place: %w", err)
		}
	}
	return errors.Join(err, k.hangUp())
}

// leave removes the guard, unless an address that it silences is still on a link.
func (k *Kernel) leave() error {
	present, err := k.links.list(func(a netip.Addr) bool { return k.owner[a] != nil })
	if err != nil {
		return err
	}
	if len(present) > 0 {
		return fmt.Errorf("%v is still on %s", present[0].addr, k.links.name(present[0].index))
	}
	return k.guard.remove()
}

func (k *Kernel) hangUp() error {
	var errs []error
	if k.guard != nil {
		errs = append(errs, k.guard.close())
	}
	if k.links != nil {
		k.links.close()
	}
	if k.sockets != nil {
		errs = append(errs, k.sockets.close())
	}
	if k.frames != nil {
		errs = append(errs, k.frames.close())
	}
	if k.events != nil {
		errs = append(errs, k.events.close())
	}
	return errors.Join(errs...)
}

package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/solevip/solevip/claim"
	"golang.org/x/sys/unix"
)

// Kernel holds addresses in the network namespace that it was opened in. Its methods may be called from any goroutine;
// they run one at a time.
type Kernel struct {
	log   *slog.Logger
	clock func() time.Duration
	slew  func() (float64, error)

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
	short    bool          // timers are set shorter, because the kernel's time is slewed
}

// group is one group's addresses and what was last permitted.
type group struct {
	name  string
	addrs []Address

	permit  claim.Permit  // the last one; the zero Permit when the group is to be down
	adopted time.Duration // kept from an earlier life by Sweep: allowed until then without a permit
	open    time.Duration // the guard surely lets all addresses through until then; 0: closed
	tenure  time.Duration // the end of the last permit that was armed: its conversations may go on until then
	used    bool          // conversations may be left: true from Bind until they are destroyed
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
	if o.Slew == nil {
		o.Slew = func() (float64, error) { return 0, nil }
	}
	k := &Kernel{
		log: o.Log, clock: o.Clock, slew: o.Slew, slack: leastSlack,
		groups: map[string]*group{}, owner: map[netip.Addr]*group{},
	}
	for name, addrs := range o.Addresses {
		g := &group{name: name, addrs: slices.Clone(addrs), used: true}
		k.groups[name] = g
		for _, a := range addrs {
			k.owner[a.IP()] = g
		}
	}
	err := k.dial(o)
	if err == nil {
		err = k.takeOver()
	}
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w (CAP_NET_ADMIN and CAP_NET_RAW are needed)", err)
	}
	if err != nil {
		return nil, errors.Join(err, k.hangUp())
	}
	k.warnOfSharedFate()
	k.log.Info("guard installed", "table", k.guard.name, "addresses", len(k.owner), "owned", k.guard.owned)
	return k, nil
}

// warnOfSharedFate tells of addresses that take others with them when they end: with a configured prefix one may be the
// primary of its subnet, and the kernel then removes the secondaries, too.
func (k *Kernel) warnOfSharedFate() {
	for _, g := range k.sorted() {
		for _, a := range g.addrs {
			if a.KeepPrefix && a.IP().Is4() && !promotes("all") && !promotes(a.Interface) {
				k.log.Warn("the end of this address may take others of its subnet with it; set the sysctl, or let it be bound as /32",
					"group", g.name, "address", a.Prefix, "sysctl", "net.ipv4.conf."+a.Interface+".promote_secondaries=1")
			}
		}
	}
}

func promotes(link string) bool {
	setting, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", link, "promote_secondaries"))
	return err == nil && strings.TrimSpace(string(setting)) != "0"
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
		g.open, g.tenure = 0, 0
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

func (k *Kernel) sorted() []*group {
	groups := make([]*group, 0, len(k.groups))
	for _, name := range groupNames(k.groups) {
		groups = append(groups, k.groups[name])
	}
	return groups
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

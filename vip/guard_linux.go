package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// guard is the table pair that keeps guarded addresses silent unless they are live.
//
// Each family has a set of guarded addresses and a set of live ones; the rules drop what is in the first and not in
// the second. Elements of the live sets time out in the kernel, checked against jiffies at each packet, so they end on time
// however late the kernel's garbage collection runs.
//
// From Linux 6.9 the tables are owned by this socket and persist: no other process can change or flush them, and when
// this process ends they stay, with their elements running out, until the next daemon adopts them.
type guard struct {
	conn  *nftables.Conn
	sock  *netlink.Conn // conn's own socket: the owner of the tables
	name  string
	owned bool // wanted before the tables are claimed, got afterwards

	inet, arp                  *nftables.Table
	prerouting, input, output  *nftables.Chain
	arpInput, arpOutput        *nftables.Chain
	guarded4, guarded6, arpAll *nftables.Set
	live4, live6, arpLive      *nftables.Set

	addrs []netip.Addr // that the guarded sets must have, in order

	installed map[byte]table      // the tables by family, as installed
	rules     map[string][]uint64 // handles by family and chain, as installed
	gen       uint32              // generation of the ruleset when the tables were last seen intact
	settled   bool                // the tables are installed, and the three above are known
}

// entry asks for one address to be let through for a while, counted from when the kernel reads the batch.
type entry struct {
	addr  netip.Addr
	life  time.Duration
	renew bool // it must still be open, or the whole batch fails: a late renewal must not reopen anything
}

// span says for how much longer an address is let through: until the first and the last of its elements end.
type span struct{ first, last time.Duration }

const (
	elementsPerMessage = 1000 // a netlink attribute is at most 64 KiB
)

// errLapsed says that a batch named an element, set or table that isn't there any more.
var errLapsed = errors.New("guard element is gone")

func dialGuard(name string, own bool) (*guard, error) {
	g := &guard{name: name, owned: own}
	keep := func(c *netlink.Conn) error { g.sock = c; return nil }
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(keep))
	if err != nil {
		return nil, fmt.Errorf("nftables socket: %w", err)
	}
	g.conn = conn
	g.describe()
	return g, nil
}

// describe names the parts of the tables; nothing is sent.
func (g *guard) describe() {
	g.inet = &nftables.Table{Name: g.name, Family: nftables.TableFamilyINet}
	g.arp = &nftables.Table{Name: g.name, Family: nftables.TableFamilyARP}
	set := func(t *nftables.Table, name string, key nftables.SetDatatype, expires bool) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, KeyType: key, HasTimeout: expires}
	}
	g.guarded4 = set(g.inet, "guarded4", nftables.TypeIPAddr, false)
	g.guarded6 = set(g.inet, "guarded6", nftables.TypeIP6Addr, false)
	g.live4 = set(g.inet, "live4", nftables.TypeIPAddr, true)
	g.live6 = set(g.inet, "live6", nftables.TypeIP6Addr, true)
	g.arpAll = set(g.arp, "guarded4", nftables.TypeIPAddr, false)
	g.arpLive = set(g.arp, "live4", nftables.TypeIPAddr, true)

	chain := func(t *nftables.Table, name string, hook uint32, priority int32) *nftables.Chain {
		return &nftables.Chain{
			Table: t, Name: name, Type: nftables.ChainTypeFilter,
			Hooknum:  nftables.ChainHookRef(nftables.ChainHook(hook)),
			Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority)),
		}
	}
	// Before connection tracking (-200) and NAT (-100): a dropped packet leaves no trace there.
	g.prerouting = chain(g.inet, "prerouting", unix.NF_INET_PRE_ROUTING, -310)
	g.input = chain(g.inet, "input", unix.NF_INET_LOCAL_IN, -310)
	g.output = chain(g.inet, "output", unix.NF_INET_LOCAL_OUT, -310)
	// The arp family counts its hooks itself (NF_ARP_IN, NF_ARP_OUT); the library's ChainHookOutput is inet's.
	g.arpInput = chain(g.arp, "input", nfARPIn, 0)
	g.arpOutput = chain(g.arp, "output", nfARPOut, 0)
}

func (g *guard) chains() []*nftables.Chain {
	return []*nftables.Chain{g.prerouting, g.input, g.output, g.arpInput, g.arpOutput}
}

// install makes the tables what they should be, in one transaction: addresses that were live stay live, for no longer
// than before; all others are closed from then on. Tables of an earlier life are taken over.
func (g *guard) install(addrs []netip.Addr) error {
	if err := g.claimTables(); err != nil {
		return err
	}
	four, six := byFamily(addrs)
	g.settled = false
	for _, s := range []*nftables.Set{g.guarded4, g.guarded6, g.live4, g.live6, g.arpAll, g.arpLive} {
		if err := g.conn.AddSet(s, nil); err != nil {
			return fmt.Errorf("nftables set %s: %w", s.Name, err)
		}
	}
	for _, c := range g.chains() {
		g.conn.AddChain(c)
	}
	g.conn.FlushTable(g.inet)
	g.conn.FlushTable(g.arp)
	g.addRules()
	for set, members := range map[*nftables.Set][]netip.Addr{g.guarded4: four, g.guarded6: six, g.arpAll: four} {
		g.conn.FlushSet(set)
		if err := g.put(set, keys(members)); err != nil {
			return err
		}
	}
	if err := g.commit(); err != nil {
		return fmt.Errorf("nftables table %s: %w (the kernel needs nftables for inet and arp with fib: CONFIG_NF_TABLES_INET, "+
			"CONFIG_NF_TABLES_ARP, CONFIG_NFT_FIB_INET; a table of that name that isn't ours goes by: nft delete table inet %s; nft delete table arp %s)",
			g.name, err, g.name, g.name)
	}
	g.addrs = slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)
	return g.settle()
}

// settle records the tables and the rules' handles as the ones to find again.
func (g *guard) settle() error {
	gen, err := g.generation()
	if err != nil {
		return err
	}
	rules, err := g.handles()
	if err != nil {
		return err
	}
	tables, err := g.tables()
	if err != nil {
		return err
	}
	g.installed, g.rules, g.gen, g.settled = tables, rules, gen, true
	return nil
}

// arm lets addresses through: all of them, or none if it fails. A renewed element is deleted and added anew, as
// adding alone leaves an element's time as it was (before Linux 6.12 always). Deleting an element that has ended fails the batch.
func (g *guard) arm(entries []entry) error {
	return g.change(func() error {
		for _, part := range g.split(entries) {
			var fresh, all []nftables.SetElement
			for _, e := range part.entries {
				element := nftables.SetElement{Key: e.addr.AsSlice(), Timeout: e.life}
				all = append(all, element)
				if !e.renew {
					fresh = append(fresh, element)
				}
			}
			if err := errors.Join(g.put(part.set, fresh), g.take(part.set, all), g.put(part.set, all)); err != nil {
				return err
			}
		}
		return nil
	})
}

// shut stops letting addresses through, whether they were or not.
func (g *guard) shut(addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	entries := make([]entry, len(addrs))
	for i, a := range addrs {
		entries[i] = entry{addr: a, life: time.Millisecond}
	}
	return g.change(func() error {
		for _, part := range g.split(entries) {
			var all []nftables.SetElement
			for _, e := range part.entries {
				all = append(all, nftables.SetElement{Key: e.addr.AsSlice(), Timeout: e.life})
			}
			// Added first, so that deleting finds it; both or neither are seen by a packet.
			if err := errors.Join(g.put(part.set, all), g.take(part.set, all)); err != nil {
				return err
			}
		}
		return nil
	})
}

// live reads back what is let through. An address that is open in one family and closed in another isn't listed.
func (g *guard) live() (map[netip.Addr]span, error) {
	open := map[netip.Addr]span{}
	for _, s := range []*nftables.Set{g.live4, g.live6} {
		elements, err := g.conn.GetSetElements(s)
		if err != nil {
			return nil, g.failed("read back", s, err)
		}
		for _, e := range elements {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				open[a] = span{e.Expires, e.Expires}
			}
		}
	}
	elements, err := g.conn.GetSetElements(g.arpLive)
	if err != nil {
		return nil, g.failed("read back", g.arpLive, err)
	}
	answers := map[netip.Addr]time.Duration{}
	for _, e := range elements {
		if a, ok := netip.AddrFromSlice(e.Key); ok {
			answers[a] = e.Expires
		}
	}
	for a, s := range open {
		if !a.Is4() {
			continue
		}
		expires, ok := answers[a]
		if !ok {
			delete(open, a)
			continue
		}
		open[a] = span{min(s.first, expires), max(s.last, expires)}
	}
	return open, nil
}

// anyLive lists addresses that any family lets through.
func (g *guard) anyLive() ([]netip.Addr, error) { return g.members(g.live4, g.live6, g.arpLive) }

// members lists what sets have, each address once.
func (g *guard) members(sets ...*nftables.Set) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, s := range sets {
		elements, err := g.conn.GetSetElements(s)
		if err != nil {
			return nil, g.failed("read back", s, err)
		}
		for _, e := range elements {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all), nil
}

// part is what one set has to hear of a batch.
type part struct {
	set     *nftables.Set
	entries []entry
}

// split deals entries to the sets that carry them.
func (g *guard) split(entries []entry) []part {
	var four, six []entry
	for _, e := range entries {
		if e.addr.Is4() {
			four = append(four, e)
		} else {
			six = append(six, e)
		}
	}
	return []part{{g.live4, four}, {g.arpLive, four}, {g.live6, six}}
}

func (g *guard) put(s *nftables.Set, elements []nftables.SetElement) error {
	for chunk := range slices.Chunk(elements, elementsPerMessage) {
		if err := g.conn.SetAddElements(s, chunk); err != nil {
			return fmt.Errorf("nftables set %s: %w", s.Name, err)
		}
	}
	return nil
}

func (g *guard) take(s *nftables.Set, elements []nftables.SetElement) error {
	for chunk := range slices.Chunk(elements, elementsPerMessage) {
		if err := g.conn.SetDeleteElements(s, chunk); err != nil {
			return fmt.Errorf("nftables set %s: %w", s.Name, err)
		}
	}
	return nil
}

// change commits what build queues, and keeps the tables' generation up to date if nobody else had a hand in between.
func (g *guard) change(build func() error) error {
	before, err := g.generation()
	if err != nil {
		return err
	}
	if err := build(); err != nil {
		return err
	}
	if err := g.commit(); err != nil {
		return fmt.Errorf("nftables table %s: %w", g.name, err)
	}
	if g.settled && before == g.gen {
		after, err := g.generation()
		if err != nil {
			return err
		}
		if after == before+1 {
			g.gen = after
		}
	}
	return nil
}

// commit sends the queued messages as one transaction. After a failure answers may be left over on the
// socket: they are read away, or the next answer would be mistaken for them.
func (g *guard) commit() error {
	err := g.conn.Flush()
	if err == nil {
		return nil
	}
	g.drain()
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w: %w", errLapsed, err)
	}
	return err
}

func (g *guard) failed(doing string, s *nftables.Set, err error) error {
	g.drain()
	return fmt.Errorf("%s nftables set %s %s: %w", doing, s.Table.Name, s.Name, err)
}

// drain empties the socket. The kernel answers while it is asked, so whatever belongs to a request is there by now.
func (g *guard) drain() {
	defer g.sock.SetReadDeadline(time.Time{})
	for range 10_000 {
		g.sock.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := g.sock.Receive(); err != nil && isTimeout(err) {
			return
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// remove deletes both tables.
func (g *guard) remove() error {
	g.conn.DelTable(g.inet)
	g.conn.DelTable(g.arp)
	g.settled = false
	if err := g.commit(); err != nil && !errors.Is(err, errLapsed) {
		return fmt.Errorf("delete nftables table %s: %w", g.name, err)
	}
	return nil
}

func (g *guard) close() error { return g.conn.CloseLasting() }

func byFamily(addrs []netip.Addr) (four, six []netip.Addr) {
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	return four, six
}

func keys(addrs []netip.Addr) []nftables.SetElement {
	elements := make([]nftables.SetElement, len(addrs))
	for i, a := range addrs {
		elements[i] = nftables.SetElement{Key: a.AsSlice()}
	}
	return elements
}

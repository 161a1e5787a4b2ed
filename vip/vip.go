// Package vip owns the kernel's side of holding addresses: a group's addresses are up on this machine
// only while a claim.Permit lasts, and the kernel itself ends that when nobody is left to do it.
//
// Two things carry the deadline. The guard, an nftables table pair (inet and arp) of our own, drops ARP, ND
// and packets of every guarded address, in and out, unless the address is in a set whose elements time out
// before the permit does; it never closes late, and needs no user space to close. The address itself has a
// lifetime (valid_lft) that removes it in whole seconds afterwards: a broom, not a lock. The guard opens
// before an address is added and closes before one is deleted.
//
// The package decides nothing: not who may hold a group, not when to announce, not what to do about an error. It
// keeps what it was last permitted, compares it with what the kernel has (Reconcile), and prefers closed.
//
// What the guard can't see: frames that other programs write to packet sockets, and traffic that NAT rules of this
// machine accept for, or send from, an address that is on none of its links.
package vip

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Address is one virtual address and the link it goes on.
type Address struct {
	Prefix     netip.Prefix // as configured: 10.0.0.100/24
	Interface  string
	KeepPrefix bool // bind with the configured length; otherwise as /32 or /128
}

// IP is the address without its prefix length.
func (a Address) IP() netip.Addr { return a.Prefix.Addr() }

// Bound is the prefix that the address has on the link. A host prefix is always the primary of its own subnet, so
// its end takes no other address with it, as an expiring primary would.
func (a Address) Bound() netip.Prefix {
	if a.KeepPrefix {
		return a.Prefix
	}
	return netip.PrefixFrom(a.IP(), a.IP().BitLen())
}

// Options say what a Kernel guards.
type Options struct {
	// Name is the cluster's name; the tables are called solevip_NAME.
	Name string
	// Addresses are all groups that this node may ever hold. Whatever is not listed is neither guarded nor touched.
	Addresses map[string][]Address
	// Clock is the node's clock: permits are measured with it.
	Clock func() time.Duration
	// Slew is by what fraction the rate of the kernel's own time, and so of its timers, differs from Clock's now; see
	// adjtimex(2). May be nil: then it is taken to be little.
	Slew func() (float64, error)
	// Log may be nil.
	Log *slog.Logger

	shared bool // leave the tables open to changes by others, as kernels before 6.9 do
}

const (
	littleSlew = 500e-6 // what the kernel corrects a clock by for good, at most; the margin covers it
	// mostSlew is what a time daemon slews by at most (chrony: 83,333 ppm) with that on top. A slew that has
	// begun may become as fast as this before the next look.
	mostSlew = 0.084
)

// shorten is for how long to set a kernel timer that must fire within d of a clock that isn't slewed.
func shorten(d time.Duration, slew float64, err error) time.Duration {
	fast := math.Abs(slew)
	if err == nil && fast <= littleSlew {
		return d
	}
	return d - time.Duration(float64(d)*min(max(fast, mostSlew), 1))
}

// ErrNoPermit says that a permit was void or over, or too short to arm anything with.
var ErrNoPermit = errors.New("permit is void or over")

// GroupError says which group failed.
type GroupError struct {
	Group string
	Err   error
}

func (e *GroupError) Error() string { return fmt.Sprintf("group %s: %v", e.Group, e.Err) }
func (e *GroupError) Unwrap() error { return e.Err }

// FailedGroups lists the groups that an error of Bind, Unbind or Reconcile names, in order. An error that names none concerns all.
func FailedGroups(err error) []string {
	var names []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *GroupError:
			names = append(names, e.Group)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	slices.Sort(names)
	return slices.Compact(names)
}

// What a reconciliation did.
const (
	Restored       = "restored"        // an address that its permit allows was missing
	Removed        = "removed"         // an address was on a link without a permit, or other than permitted
	Lapsed         = "lapsed"          // a permit ran out: the group is down and cleaned up
	GuardClosed    = "guard closed"    // the guard let an address through without a permit
	GuardOpened    = "guard opened"    // the guard kept out an address that its permit allows
	GuardReinstall = "guard reinstall" // the tables were missing or altered
)

// Change is one thing that Reconcile found other than permitted, and put right.
type Change struct {
	What      string // one of the constants above
	Group     string
	Address   netip.Addr // not set when the change concerns a whole group or the guard
	Interface string     // the link that the address was on
}

func (c Change) String() string {
	s := c.What
	if c.Group != "" {
		s += " " + c.Group
	}
	if c.Address.IsValid() {
		s += " " + c.Address.String()
	}
	if c.Interface != "" {
		s += " on " + c.Interface
	}
	return s
}

// Status is what the kernel has, next to what it was permitted.
type Status struct {
	Table string // the guard's table name, in the families inet and arp
	Owned bool   // nobody else can flush or change the guard while this process lives
	// Lateness is the worst case seen so far of guard closed less permit's end; negative is early.
	Lateness time.Duration
	Groups   []GroupStatus // ordered by name
}

// GroupStatus is one group as the kernel has it.
type GroupStatus struct {
	Group     string
	Epoch     uint64        // of the last permit; 0 when there is none
	Until     time.Duration // the node's clock by which the group is down; 0 when it is down
	Up        bool          // every address is on its link and let through
	Addresses []AddressStatus
}

// AddressStatus is one address as the kernel has it.
type AddressStatus struct {
	Address Address
	Present bool          // on its link
	Open    time.Duration // for how long the guard still lets it through; 0: closed
}

// tableName makes a cluster's name into one that nft can write. A name that had to be altered keeps a mark
// of what it was, so that two clusters never share a table.
func tableName(cluster string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, cluster)
	if clean == cluster {
		return "solevip_" + clean
	}
	sum := fnv.New32a()
	sum.Write([]byte(cluster))
	return fmt.Sprintf("solevip_%s_%08x", clean, sum.Sum32())
}

// check reports every mistake in the options at once.
func (o Options) check() error {
	var errs []error
	if o.Name == "" || len(o.Name) > 100 {
		errs = append(errs, fmt.Errorf("cluster name %q: want 1 to 100 characters", o.Name))
	}
	if o.Clock == nil {
		errs = append(errs, errors.New("no clock given"))
	}
	owner := map[netip.Addr]string{}
	for _, name := range groupNames(o.Addresses) {
		if len(o.Addresses[name]) == 0 {
			errs = append(errs, &GroupError{name, errors.New("no address: list at least one")})
		}
		for _, a := range o.Addresses[name] {
			if err := a.check(); err != nil {
				errs = append(errs, &GroupError{name, err})
				continue
			}
			if first, taken := owner[a.IP()]; taken {
				errs = append(errs, &GroupError{name, fmt.Errorf("address %v: group %s has it already; list it once", a.IP(), first)})
			}
			owner[a.IP()] = name
		}
	}
	return errors.Join(errs...)
}

func (a Address) check() error {
	ip := a.IP()
	switch {
	case !a.Prefix.IsValid():
		return fmt.Errorf("address %v: not an address with a prefix length", a.Prefix)
	case ip.Is4In6():
		return fmt.Errorf("address %v: write it as %v", a.Prefix, ip.Unmap())
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLoopback():
		return fmt.Errorf("address %v: a virtual address must be unicast and not loopback", a.Prefix)
	case a.Interface == "" || len(a.Interface) > 15:
		return fmt.Errorf("address %v: interface %q: want a name of 1 to 15 characters", a.Prefix, a.Interface)
	}
	return nil
}

func groupNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

package vip

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/solevip/solevip/claim"
)

const (
	// shortest is the least life an element is armed with. Kernels before 6.12 take less than a tick for no limit at all.
	shortest = 20 * time.Millisecond
	// jitter is what the kernel's ticks may take from an element's life: two, at 100 Hz.
	jitter = 20 * time.Millisecond

	leastSlack = 2 * time.Millisecond
	mostSlack  = 200 * time.Millisecond
	armTries   = 4
)

// Bind has the groups' addresses up until their permits end; for a group that is up it moves the end. The guard is
// armed and read back first, in one transaction for all groups, then the addresses are added. Nothing is
// announced. Groups that failed are named by FailedGroups; the others are up.
func (k *Kernel) Bind(permits ...claim.Permit) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	var groups []*group
	now := k.clock()
	for _, p := range permits {
		found, err := k.lookup([]string{p.Group()})
		switch {
		case err != nil:
			errs = append(errs, err)
		case !p.Valid(now):
			errs = append(errs, &GroupError{p.Group(), fmt.Errorf("%w: %v", ErrNoPermit, p)})
		default:
			found[0].permit, found[0].adopted = p, 0
			if !slices.Contains(groups, found[0]) {
				groups = append(groups, found[0])
			}
		}
	}
	if len(groups) == 0 {
		return errors.Join(errs...)
	}
	if _, err := k.checkGuard(); err != nil {
		return errors.Join(append(errs, k.blame(groups, err))...)
	}
	return errors.Join(append(errs, k.raise(groups))...)
}

// checkGuard installs the guard anew, closed, if something took it away or altered it.
func (k *Kernel) checkGuard() (changed bool, err error) {
	intact, err := k.guard.intact()
	if err != nil || intact {
		return false, err
	}
	k.log.Warn("guard was missing or altered and is installed anew, closed; keep firewall reloads off the table", "table", k.guard.name)
	k.closeAll()
	if err := k.install(); err != nil {
		return true, err
	}
	// What survived in the sets has no known origin.
	stray, err := k.guard.anyLive()
	if err != nil {
		return true, err
	}
	return true, k.guard.shut(stray)
}

// raise brings groups up that have a valid permit.
func (k *Kernel) raise(groups []*group) error {
	armed, err := k.arm(groups)
	return errors.Join(err, k.place(armed))
}

// arm opens the guard for groups until their permits end and returns those for which it did.
func (k *Kernel) arm(groups []*group) ([]*group, error) {
	var errs []error
	for try := 1; len(groups) > 0; try++ {
		if err := k.prepare(groups); err != nil {
			return nil, errors.Join(append(errs, k.blame(groups, err))...)
		}
		entries, short := k.entries(groups)
		for _, g := range short {
			errs = append(errs, &GroupError{g.name, fmt.Errorf("%w: too little is left of %v", ErrNoPermit, g.permit)}, k.lower([]*group{g}))
			groups = slices.DeleteFunc(groups, func(other *group) bool { return other == g })
		}
		if len(groups) == 0 {
			break
		}
		late, err := k.tryArm(groups, entries)
		switch {
		case err == nil && len(late) == 0:
			return groups, errors.Join(errs...)
		case try == armTries || (err != nil && !errors.Is(err, errLapsed)):
			if err == nil {
				err = errors.New("the kernel took too long to arm the guard in time")
			}
			return nil, errors.Join(append(errs, k.blame(groups, err), k.lower(groups))...)
		}
		if err := k.relearn(groups); err != nil {
			return nil, errors.Join(append(errs, k.blame(groups, err))...)
		}
	}
	return nil, errors.Join(errs...)
}

// prepare makes sure that groups which aren't open have nothing up: opening the guard then lets nobody in before the
// address is added, however late it happens. Conversations end, unless the permit never did: then only the guard
// was lost, and is on its way back.
func (k *Kernel) prepare(groups []*group) error {
	now := k.clock()
	closed := map[netip.Addr]bool{}
	var fresh []*group
	for _, g := range groups {
		if now < g.open {
			continue
		}
		if now >= g.tenure {
			fresh = append(fresh, g)
		}
		for _, ip := range g.ips() {
			closed[ip] = true
		}
	}
	if len(closed) == 0 {
		return nil
	}
	if err := k.clear(closed); err != nil {
		return err
	}
	return k.endConversations(fresh)
}

// entries words what the guard is asked for; groups with too little left come back in short.
func (k *Kernel) entries(groups []*group) (entries []entry, short []*group) {
	slew, err := k.readSlew()
	now := k.clock()
	for _, g := range groups {
		life := (shorten(g.permit.Until()-now, slew, err) - k.slack).Truncate(time.Millisecond)
		if life < shortest {
			short = append(short, g)
			continue
		}
		for _, ip := range g.ips() {
			entries = append(entries, entry{addr: ip, life: life, renew: now < g.open})
		}
	}
	return entries, short
}

// readSlew reads how the kernel's time is slewed, and logs when its timers begin or cease to be set shorter for it.
func (k *Kernel) readSlew() (slew float64, err error) {
	slew, err = k.slew()
	short := shorten(time.Second, slew, err) < time.Second
	if short != k.short {
		k.short = short
		k.log.Info("the kernel's time is slewed or was: timers are set shorter for it", "now", short, "ppm", math.Round(slew*1e6), "error", err)
	}
	return slew, err
}

// tryArm opens the guard once and proves it: the elements must be there with the life they were given, and that life,
// counted from when the kernel surely had started it, must end within the permit. It returns the groups that fail.
func (k *Kernel) tryArm(groups []*group, entries []entry) (late []*group, err error) {
	before := k.clock()
	if err := k.guard.arm(entries); err != nil {
		return nil, err
	}
	committed := k.clock()
	live, err := k.guard.live()
	if err != nil {
		return nil, err
	}
	after := k.clock()
	asked := map[netip.Addr]time.Duration{}
	for _, e := range entries {
		asked[e.addr] = e.life
	}
	for _, g := range groups {
		life := asked[g.addrs[0].IP()]
		open, all := groupSpan(g, live)
		if !all || open.last > life || open.first < life-(after-before)-jitter {
			return nil, &GroupError{g.name, fmt.Errorf("%w: guard armed for %v, but read back as %v to %v", errLapsed, life, open.first, open.last)}
		}
		over := committed + life - g.permit.Until()
		if over > 0 {
			late = append(late, g)
			continue
		}
		if !k.armed || over > k.lateness {
			k.lateness, k.armed = over, true
		}
		g.open, g.tenure = before+life-jitter, g.permit.Until()
		g.used = true
	}
	k.adjust(committed-before, len(late) > 0)
	return late, nil
}

// adjust learns from how long arming took: at once when it was too long, slowly back.
func (k *Kernel) adjust(took time.Duration, late bool) {
	if late {
		k.slack = min(max(2*took, 2*k.slack), mostSlack)
		return
	}
	k.slack = max(k.slack*7/8, 2*took, leastSlack)
	k.slack = min(k.slack, mostSlack)
}

// relearn finds out after a failure what the guard really lets through.
func (k *Kernel) relearn(groups []*group) error {
	if _, err := k.checkGuard(); err != nil {
		return err
	}
	live, err := k.guard.live()
	if err != nil {
		return err
	}
	now := k.clock()
	for _, g := range groups {
		g.open = 0
		if open, all := groupSpan(g, live); all && g.may(now) {
			g.open = now + open.first - jitter
		}
	}
	return nil
}

// place puts the addresses of armed groups on their links. A permit that ended meanwhile takes its group down again.
func (k *Kernel) place(groups []*group) error {
	if len(groups) == 0 {
		return nil
	}
	links, _ := k.links.find(k.interfaces(groups))
	var puts []put
	var owners []*group
	failed := map[*group][]error{}
	now := k.clock()
	for _, g := range groups {
		for _, a := range g.addrs {
			on, known := links[a.Interface]
			if !known {
				failed[g] = append(failed[g], fmt.Errorf("address %v: there is no interface %s", a.IP(), a.Interface))
				continue
			}
			puts = append(puts, put{a.Bound(), on.index, g.permit.Until() - now})
			owners = append(owners, g)
		}
	}
	for i, err := range k.links.add(puts) {
		if err != nil {
			g := owners[i]
			failed[g] = append(failed[g], fmt.Errorf("address %v: %w", puts[i].prefix, err))
		}
	}
	now = k.clock()
	var errs []error
	for _, g := range groups {
		if !g.permit.Valid(now) {
			failed[g] = append(failed[g], ErrNoPermit, k.lower([]*group{g}))
		}
		if err := errors.Join(failed[g]...); err != nil {
			errs = append(errs, &GroupError{g.name, err})
		}
	}
	return errors.Join(errs...)
}

//go:build linux

package vip

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/claim"
)

func TestBoundAddressAnswersUntilUnbind(t *testing.T) {
	for _, addr := range []netip.Addr{vip4, vip6} {
		t.Run(addr.String(), func(t *testing.T) {
			s := newStage(t)
			k := s.kernel()
			p := s.probe(addr)
			from := s.now()
			within(t, time.Second, "100 ms of probes", func() bool { return p.sentUntil() > from+100*time.Millisecond })
			if r, e := p.answers(); r+e > 0 {
				t.Fatalf("answered before Bind: %d resolved, %d echoed", r, e)
			}

			s.bind(k, "db", 10*time.Second)
			within(t, time.Second, "resolved and echoed", func() bool { r, e := p.answers(); return r > 0 && e > 0 })
			if !s.serves(s.node, addr) {
				t.Error("the holder itself can't reach the address")
			}
			if st := s.group(k, "db"); !st.Up || st.Epoch != 1 {
				t.Errorf("status %+v, want up at epoch 1", st)
			}

			if err := k.Unbind("db"); err != nil {
				t.Fatal(err)
			}
			down := s.now()
			within(t, time.Second, "100 ms of probes", func() bool { return p.sentUntil() > down+100*time.Millisecond })
			p.halt()
			if late := p.last() - down; late > 0 {
				t.Errorf("answered %v after Unbind returned", late)
			}
			if s.has(addr) {
				t.Error("address is still on its link")
			}
			if st := s.group(k, "db"); st.Up || st.Until != 0 || st.Epoch != 0 {
				t.Errorf("status %+v, want down", st)
			}
			if err := k.Unbind("db", "db", "web"); err != nil {
				t.Errorf("Unbind of what is down: %v", err)
			}
		})
	}
}

func (s *stage) group(k *Kernel, name string) GroupStatus {
	s.t.Helper()
	status, err := k.Status()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range status.Groups {
		if g.Group == name {
			return g
		}
	}
	s.t.Fatalf("no group %s in %+v", name, status)
	return GroupStatus{}
}

func TestAddressesAreBoundAsHostsUnlessKept(t *testing.T) {
	s := newStage(t)
	k := s.kernel(func(o *Options) {
		o.Addresses = map[string][]Address{
			"host": {{Prefix: netip.MustParsePrefix("10.99.0.100/24"), Interface: "wire"}},
			"kept": {{Prefix: netip.MustParsePrefix("10.88.0.100/24"), Interface: "wire", KeepPrefix: true}},
		}
	})
	if err := k.Bind(s.permit("host", 5*time.Second), s.permit("kept", 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	out := s.run("ip", "-n", s.node, "-o", "addr", "show", "dev", "wire")
	for _, want := range []string{"10.99.0.100/32", "10.88.0.100/24 brd 10.88.0.255", "valid_lft 5sec"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if changes := s.reconcile(k); len(changes) > 0 {
		t.Errorf("reconciliation right after Bind changed %v", changes)
	}
}

func TestBindRefuses(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	over := s.permit("db", 30*time.Millisecond)
	within(t, time.Second, "the permit is over", func() bool { return s.now() > over.Until() })
	for name, p := range map[string]claim.Permit{
		"a permit that is over":               over,
		"a permit too short to be armed with": s.permit("db", 15*time.Millisecond),
		"the zero permit":                     {},
		"a group that it doesn't know":        s.permit("mail", time.Second),
	} {
		err := k.Bind(p)
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
		if got := FailedGroups(err); !slices.Equal(got, []string{p.Group()}) {
			t.Errorf("%s: error %v blames %v", name, err, got)
		}
	}
	if s.has(vip4) {
		t.Error("a refused permit brought the address up")
	}
	if err := k.Bind(over); !errors.Is(err, ErrNoPermit) {
		t.Errorf("got %v, want ErrNoPermit", err)
	}

	// One group's trouble is not another's.
	err := k.Bind(over, s.permit("web", time.Second))
	if got := FailedGroups(err); !slices.Equal(got, []string{"db"}) || !s.group(k, "web").Up {
		t.Errorf("blamed %v (%v), web is %+v; want db alone to fail", got, err, s.group(k, "web"))
	}
}

func TestMissingInterfaceIsNamed(t *testing.T) {
	s := newStage(t)
	k := s.kernel(func(o *Options) {
		o.Addresses = map[string][]Address{"db": {{Prefix: netip.PrefixFrom(vip4, 32), Interface: "gone0"}}}
	})
	err := k.Bind(s.permit("db", time.Second))
	if err == nil || !strings.Contains(err.Error(), "there is no interface gone0") {
		t.Errorf("got %v", err)
	}
	if s.group(k, "db").Up {
		t.Error("group is said to be up")
	}
}

func TestSecondDaemonOfAClusterIsRefused(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	if !k.guard.owned {
		t.Skip("needs tables with an owner that persist: Linux 6.9")
	}
	if other, err := s.tryKernel(); err == nil {
		other.Close()
		t.Error("a second daemon took over the guard of a living one")
	} else if !strings.Contains(err.Error(), "daemon of the same cluster") {
		t.Errorf("got %v", err)
	}
	other, err := s.tryKernel(func(o *Options) { o.Name = "another" })
	if err != nil {
		t.Fatalf("another cluster on the same node: %v", err)
	}
	other.Close()
}

func TestCloseLeavesNothingUnlessUp(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	s.bind(k, "db", 2*time.Second)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if out := s.onNode("nft", "list", "tables"); strings.Count(out, "solevip_test") != 2 {
		t.Errorf("with a group up the guard must stay; there is: %s", out)
	}
	k = s.kernel()
	if err := k.Sweep(nil); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if out := s.onNode("nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind: %s", out)
	}
}

// A node that doesn't hold an address is still a client of it: it reaches the holder, and learns from announcements.
func TestBystanderReachesTheHolder(t *testing.T) {
	s := newStage(t)
	s.kernel()
	s.run("ip", "-n", s.client, "addr", "add", vip4.String()+"/32", "dev", "wire")
	s.run("ip", "-n", s.client, "addr", "add", vip6.String()+"/128", "dev", "wire", "nodad")
	for _, addr := range []netip.Addr{vip4, vip6} {
		if !s.serves(s.node, addr) {
			t.Errorf("the node can't reach %v on its holder", addr)
		}
	}

	moved := "02:00:00:00:00:99"
	s.run("ip", "-n", s.node, "neigh", "replace", vip4.String(), "lladdr", moved, "dev", "wire", "nud", "stale")
	holder := s.kernelIn(s.clientFile, "other")
	s.bind(holder, "db", 5*time.Second)
	if err := holder.Announce(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "the bystander's neighbour table has the holder", func() bool {
		return strings.Contains(s.run("ip", "-n", s.node, "neigh", "show", vip4.String()), s.clientMAC.String())
	})
}

func (s *stage) kernelIn(ns namespace, name string) (k *Kernel) {
	s.t.Helper()
	var err error
	s.inside(ns, func() { k, err = Open(Options{Name: name, Addresses: addrs, Clock: s.now}) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { k.hangUp() })
	return k
}

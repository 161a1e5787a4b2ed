//go:build linux

package vip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
)

// Every layer of the guard is enough alone: with all other chains emptied, an address without a permit that
// something else put on the link stays silent.
func TestEachLayerOfTheGuardIsEnough(t *testing.T) {
	chains := []string{"inet prerouting", "inet input", "inet output", "arp input", "arp output"}
	for _, tt := range []struct {
		layer    string
		addr     netip.Addr
		resolves bool // the layer must keep the address from being resolved, too
		echoes   bool // the layer must keep echo requests unanswered
	}{
		{"inet prerouting", vip4, false, true},
		{"inet input", vip4, false, true},
		{"inet output", vip4, false, true},
		{"arp input", vip4, true, false},
		{"arp output", vip4, true, false},
		{"inet prerouting", vip6, false, true},
		{"inet input", vip6, true, true},
		{"inet output", vip6, true, true},
	} {
		t.Run(fmt.Sprintf("%s, %v", tt.layer, tt.addr), func(t *testing.T) {
			s := newStage(t)
			s.kernel(shared)
			for _, chain := range chains {
				if chain != tt.layer {
					s.onNode(append([]string{"nft", "flush", "chain"}, strings.Fields(strings.Replace(chain, " ", " solevip_test ", 1))...)...)
				}
			}
			args := []string{"ip", "-n", s.node, "addr", "add", tt.addr.String(), "dev", "wire"}
			if tt.addr.Is6() {
				args = append(args, "nodad")
			}
			s.run(args...)
			p := s.probe(tt.addr)
			from := s.now()
			within(t, time.Second, "100 ms of probes", func() bool { return p.sentUntil() > from+100*time.Millisecond })
			p.halt()
			resolved, echoed := p.answers()
			if (resolved > 0) == tt.resolves {
				t.Errorf("resolved %d times; want silence: %v", resolved, tt.resolves)
			}
			if (echoed > 0) == tt.echoes {
				t.Errorf("echoed %d times; want silence: %v", echoed, tt.echoes)
			}
		})
	}
}

// What the kernel and other programs say of their own accord is stopped as well.
func TestGuardStopsUnaskedClaims(t *testing.T) {
	s := newStage(t)
	s.kernel()
	four, six := s.probe(vip4), s.probe(vip6)
	s.onNode("sysctl", "-qw", "net.ipv4.conf.wire.arp_notify=1", "net.ipv6.conf.wire.ndisc_notify=1")
	s.run("ip", "-n", s.node, "addr", "add", vip4.String(), "dev", "wire")
	s.run("ip", "-n", s.node, "link", "set", "wire", "down")
	s.run("ip", "-n", s.node, "link", "set", "wire", "up") // the kernel announces its addresses
	s.run("ip", "-n", s.node, "addr", "add", "fd99::1/64", "dev", "wire", "nodad")
	s.run("ip", "-n", s.node, "addr", "add", vip6.String(), "dev", "wire", "nodad")
	within(t, 5*time.Second, "the cable works again", func() bool {
		return s.serves(s.node, client4) && s.serves(s.client, netip.MustParseAddr("fd99::1"))
	})
	claim := must(ndp.MarshalMessage(&ndp.NeighborAdvertisement{Override: true, TargetAddress: vip6}))
	s.inside(s.nodeFile, func() {
		raw, err := net.ListenPacket("ip6:ipv6-icmp", "fd99::1")
		if err != nil {
			t.Error(err)
			return
		}
		defer raw.Close()
		_, _ = raw.WriteTo(claim, &net.IPAddr{IP: client6.AsSlice()}) // refused by the guard with EPERM
	})
	from := s.now()
	within(t, time.Second, "100 ms of probes", func() bool { return min(four.sentUntil(), six.sentUntil()) > from+100*time.Millisecond })
	four.halt()
	six.halt()
	if four.last() > 0 || six.last() > 0 {
		t.Errorf("claims were heard, the last at %v (IPv4), %v (IPv6)", four.last(), six.last())
	}
}

// The guard is about what ends or begins on this node: traffic that it routes to the holder passes.
func TestRoutedTrafficPasses(t *testing.T) {
	s := newStage(t)
	s.kernel()
	inner := s.node + "i"
	s.run("ip", "netns", "add", inner)
	t.Cleanup(func() { runQuietly("ip", "netns", "del", inner) })
	s.run("ip", "-n", s.node, "link", "add", "inner", "type", "veth", "peer", "name", "wire", "netns", inner)
	for _, args := range [][]string{
		{s.node, "link", "set", "inner", "up"}, {s.node, "addr", "add", "10.97.0.1/24", "dev", "inner"},
		{inner, "link", "set", "wire", "up"}, {inner, "addr", "add", "10.97.0.2/24", "dev", "wire"},
		{inner, "route", "add", "default", "via", "10.97.0.1"},
		{s.client, "route", "add", "10.97.0.0/24", "via", "10.99.0.1"},
		{s.client, "addr", "add", vip4.String() + "/32", "dev", "wire"}, // the holder
	} {
		s.run(append([]string{"ip", "-n"}, args...)...)
	}
	s.onNode("sysctl", "-qw", "net.ipv4.ip_forward=1")
	within(t, 5*time.Second, "a machine behind the node reaches the holder", func() bool { return s.pings(inner, vip4) })
}

// Connections that the firewall tracks are forgotten with the address.
func TestTrackedConnectionsAreForgotten(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	s.onNode("nft", "add table inet fw; add chain inet fw in { type filter hook input priority 0; }; add rule inet fw in ct state established accept")
	tracked := func() string { return s.onNode("sh", "-c", "cat /proc/net/nf_conntrack 2>/dev/null || echo none") }
	if strings.TrimSpace(tracked()) == "none" {
		t.Skip("needs /proc/net/nf_conntrack to look at")
	}
	s.bind(k, "db", 10*time.Second)
	s.talk(vip4)
	other, _ := s.talk(netip.MustParseAddr("10.99.0.1"))
	if !strings.Contains(tracked(), "dst="+vip4.String()) {
		t.Fatalf("nothing is tracked:\n%s", tracked())
	}
	if err := k.Unbind("db"); err != nil {
		t.Fatal(err)
	}
	out := tracked()
	if strings.Contains(out, vip4.String()) {
		t.Errorf("still tracked:\n%s", out)
	}
	port := fmt.Sprintf("sport=%d", other.LocalAddr().(*net.TCPAddr).Port)
	if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.Contains(line, port) }) {
		t.Errorf("another address's connection was forgotten, too:\n%s", out)
	}
}

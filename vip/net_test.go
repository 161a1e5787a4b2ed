//go:build linux

package vip

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The stage: a node and a client, each in a network namespace of its own, on one cable.
var (
	vip4    = netip.MustParseAddr("10.99.0.100")
	vip6    = netip.MustParseAddr("fd99::100")
	spare4  = netip.MustParseAddr("10.99.0.101")
	client4 = netip.MustParseAddr("10.99.0.2")
	client6 = netip.MustParseAddr("fd99::2")
	addrs   = map[string][]Address{
		"db":  {{Prefix: netip.PrefixFrom(vip4, 24), Interface: "wire"}, {Prefix: netip.PrefixFrom(vip6, 64), Interface: "wire"}},
		"web": {{Prefix: netip.PrefixFrom(spare4, 24), Interface: "wire"}},
	}
)

var stages atomic.Int32

type namespace = netns.NsHandle

type stage struct {
	t                    testing.TB
	node, client         string // namespaces
	nodeMAC, clientMAC   net.HardwareAddr
	start                time.Time
	nodeFile, clientFile namespace
}

func newStage(t testing.TB) *stage {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: network namespaces and nftables")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	id := fmt.Sprintf("vip%d-%d", os.Getpid(), stages.Add(1))
	s := &stage{t: t, node: id + "n", client: id + "c", start: time.Now()}
	for _, ns := range []string{s.node, s.client} {
		s.run("ip", "netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		s.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	s.run("ip", "-n", s.node, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", s.client)
	for ns, host := range map[string]string{s.node: "1", s.client: "2"} {
		s.run("ip", "-n", ns, "link", "set", "wire", "up")
		s.run("ip", "-n", ns, "addr", "add", "10.99.0."+host+"/24", "dev", "wire")
		s.run("ip", "-n", ns, "addr", "add", "fd99::"+host+"/64", "dev", "wire", "nodad")
	}
	s.nodeFile, s.clientFile = s.open(s.node), s.open(s.client)
	s.nodeMAC, s.clientMAC = s.mac(s.nodeFile), s.mac(s.clientFile)
	return s
}

func (s *stage) open(ns string) namespace {
	s.t.Helper()
	h, err := netns.GetFromName(ns)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { h.Close() })
	return h
}

func (s *stage) mac(ns namespace) (mac net.HardwareAddr) {
	s.inside(ns, func() {
		wire, err := net.InterfaceByName("wire")
		if err != nil {
			s.t.Fatal(err)
		}
		mac = wire.HardwareAddr
	})
	return mac
}

// inside runs f on a thread that is in the namespace; sockets that f opens stay there.
func (s *stage) inside(ns namespace, f func()) {
	s.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := netns.Set(ns)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		s.t.Fatalf("namespace: %v", err)
	}
}

func (s *stage) run(command ...string) string {
	s.t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return string(out)
}

func (s *stage) onNode(command ...string) string {
	s.t.Helper()
	return s.run(append([]string{"ip", "netns", "exec", s.node}, command...)...)
}

func (s *stage) onClient(command ...string) string {
	s.t.Helper()
	return s.run(append([]string{"ip", "netns", "exec", s.client}, command...)...)
}

// now is the node's clock. It reads the real-time clock, as the kernel's packet timestamps do.
func (s *stage) now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano() - s.start.UnixNano())
}

func (s *stage) kernel(change ...func(*Options)) *Kernel {
	s.t.Helper()
	k, err := s.tryKernel(change...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { k.hangUp() })
	return k
}

func (s *stage) tryKernel(change ...func(*Options)) (k *Kernel, err error) {
	o := Options{Name: "test", Addresses: addrs, Clock: s.now}
	for _, c := range change {
		c(&o)
	}
	s.inside(s.nodeFile, func() { k, err = Open(o) })
	return k, err
}

// shared opens the kernel as it must be on Linux before 6.9: without owning its tables.
func shared(o *Options) { o.shared = true }

// permit is a real one, for a life counted from now: only the rule makes permits, so a machine of an
// unprotected group is asked.
func (s *stage) permit(group string, life time.Duration) claim.Permit {
	return permitFrom(s.t, group, s.now(), life)
}

func permitFrom(t testing.TB, group string, now, life time.Duration) claim.Permit {
	t.Helper()
	m := claim.New(claim.Config{
		Group: group, Self: arbiter.Boot{Node: "a", Kernel: "1", Incarnation: "1"}, Protection: arbiter.ProtectVRRP, TTL: life,
	})
	actions := m.Step(now, claim.Wanted{Up: true})
	actions = append(actions, m.Step(now, claim.Promoted{})...)
	for _, a := range actions {
		if b, ok := a.(claim.Bind); ok {
			return b.Permit
		}
	}
	t.Fatalf("no permit in %v", actions)
	return claim.Permit{}
}

func (s *stage) bind(k *Kernel, group string, life time.Duration) claim.Permit {
	s.t.Helper()
	p := s.permit(group, life)
	if err := k.Bind(p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// has reports whether the node has the address on its wire.
func (s *stage) has(addr netip.Addr) bool {
	s.t.Helper()
	return strings.Contains(s.run("ip", "-n", s.node, "-o", "addr", "show"), " "+addr.String()+"/")
}

// pings reports whether one ping from the namespace is answered soon, asked with a fresh neighbour table.
func (s *stage) pings(ns string, to netip.Addr) bool {
	s.t.Helper()
	s.run("ip", "-n", ns, "neigh", "flush", "dev", "wire")
	return exec.Command("ip", "netns", "exec", ns, "ping", "-n", "-c1", "-W0.3", to.String()).Run() == nil
}

// serves reports whether pings from the namespace are answered, if not the first then a later one: a
// busy machine may lose some.
func (s *stage) serves(ns string, to netip.Addr) bool {
	s.t.Helper()
	for range 10 {
		if s.pings(ns, to) {
			return true
		}
	}
	return false
}

func (s *stage) reconcile(k *Kernel) []Change {
	s.t.Helper()
	changes, err := k.Reconcile()
	if err != nil {
		s.t.Fatal(err)
	}
	return changes
}

// within waits until claim holds, looking every few milliseconds.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.After(limit); !holds(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

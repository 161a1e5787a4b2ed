//go:build linux

package vip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReconcileUndoesWhatOthersDid(t *testing.T) {
	for _, tt := range []struct {
		name string
		does [][]string // ip's arguments on the node
		want []Change
	}{
		{name: "nothing", want: nil},
		{
			name: "deletes an address that is permitted",
			does: [][]string{{"addr", "del", "10.99.0.100/32", "dev", "wire"}},
			want: []Change{{Restored, "db", vip4, "wire"}},
		},
		{
			name: "flushes the link",
			does: [][]string{{"addr", "flush", "dev", "wire", "to", "10.99.0.100"}, {"addr", "del", "fd99::100/128", "dev", "wire"}},
			want: []Change{{Restored, "db", vip4, "wire"}, {Restored, "db", vip6, "wire"}},
		},
		{
			name: "adds an address that isn't permitted",
			does: [][]string{{"addr", "add", "10.99.0.101/24", "dev", "wire"}},
			want: []Change{{Removed, "web", spare4, "wire"}},
		},
		{
			name: "adds a permitted address to another link",
			does: [][]string{{"addr", "add", "10.99.0.100/32", "dev", "lo"}},
			want: []Change{{Removed, "db", vip4, "lo"}},
		},
		{
			name: "adds a permitted address with another prefix",
			does: [][]string{{"addr", "add", "10.99.0.100/24", "dev", "wire"}},
			want: []Change{{Removed, "db", vip4, "wire"}},
		},
		{
			name: "makes a permitted address last for ever",
			does: [][]string{{"addr", "change", "10.99.0.100/32", "dev", "wire", "valid_lft", "forever", "preferred_lft", "forever"}},
			want: []Change{{Restored, "db", vip4, "wire"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			k := s.kernel()
			s.bind(k, "db", 20*time.Second)
			for _, args := range tt.does {
				s.run(append([]string{"ip", "-n", s.node}, args...)...)
			}
			got := s.reconcile(k)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if again := s.reconcile(k); len(again) > 0 {
				t.Errorf("a second reconciliation changed %v", again)
			}
			if !s.group(k, "db").Up || !s.serves(s.client, vip4) || !s.serves(s.client, vip6) {
				t.Errorf("db isn't up: %+v", s.group(k, "db"))
			}
			if s.has(spare4) {
				t.Errorf("%v is on a link", spare4)
			}
			if out := s.run("ip", "-n", s.node, "-o", "addr", "show", "to", "10.99.0.100"); strings.Contains(out, "forever") {
				t.Errorf("the address lasts for ever:\n%s", out)
			}
		})
	}
}

// Between being added by something else and being found by Reconcile, an address without a permit is silent.
func TestForeignAddressIsSilent(t *testing.T) {
	for _, open := range []func(*Options){func(*Options) {}, shared} {
		s := newStage(t)
		k := s.kernel(open)
		four, six := s.probe(vip4), s.probe(vip6)
		s.run("ip", "-n", s.node, "addr", "add", "10.99.0.100/24", "dev", "wire")
		s.run("ip", "-n", s.node, "addr", "add", "fd99::100/64", "dev", "wire", "nodad")
		// The node itself speaks as the address, too, if it can.
		if s.pings(s.node, vip4) {
			t.Error("the node reaches the address on itself")
		}
		s.spoof(s.node, vip4)
		from := s.now()
		within(t, time.Second, "100 ms of probes", func() bool { return min(four.sentUntil(), six.sentUntil()) > from+100*time.Millisecond })
		four.halt()
		six.halt()
		if last := max(four.last(), six.last()); last > 0 {
			t.Errorf("it spoke %v after its start", last)
		}
		got := s.reconcile(k)
		slices.SortFunc(got, func(a, b Change) int { return a.Address.Compare(b.Address) })
		want := []Change{{Removed, "db", vip4, "wire"}, {Removed, "db", vip6, "wire"}}
		if !slices.Equal(got, want) {
			t.Errorf("changes %v, want %v", got, want)
		}
	}
}

// spoof pings the client with the address as source; nobody expects an answer.
func (s *stage) spoof(ns string, from netip.Addr) {
	runQuietly("ip", "netns", "exec", ns, "ping", "-n", "-c3", "-i0.01", "-W1", "-I", from.String(), client4.String())
}

func TestFirewallReload(t *testing.T) {
	t.Run("owned tables outlast a flush", func(t *testing.T) {
		s := newStage(t)
		k := s.kernel()
		if !k.guard.owned {
			t.Skip("needs tables with an owner that persist: Linux 6.9")
		}
		s.bind(k, "db", 10*time.Second)
		s.onNode("nft", "flush", "ruleset")
		if changes := s.reconcile(k); len(changes) > 0 {
			t.Errorf("changes %v, want none", changes)
		}
		s.run("ip", "-n", s.node, "addr", "add", "10.99.0.101/24", "dev", "wire")
		if s.pings(s.client, spare4) {
			t.Error("the guard is gone: an address without permit answers")
		}
	})
	for name, damage := range map[string][]string{
		"ruleset flushed":         {"flush", "ruleset"},
		"one table deleted":       {"delete", "table", "arp", "solevip_test"},
		"rules flushed":           {"flush", "chain", "inet", "solevip_test", "input"},
		"guarded address removed": {"delete", "element", "inet", "solevip_test", "guarded4", "{", "10.99.0.101", "}"},
		"table made dormant":      {"add", "table", "inet", "solevip_test", "{", "flags", "dormant", ";", "}"},
		"live set flushed":        {"flush", "set", "arp", "solevip_test", "live4"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			k := s.kernel(shared)
			changed := k.Watch(t.Context())
			<-changed // the first report says: look now
			s.bind(k, "db", 10*time.Second)
			s.onNode(append([]string{"nft"}, damage...)...)
			select {
			case <-changed:
			case <-time.After(5 * time.Second):
				t.Error("nobody noticed")
			}
			want := GuardReinstall
			if name == "live set flushed" {
				want = GuardOpened
			}
			if got := s.reconcile(k); len(got) == 0 || got[0].What != want {
				t.Errorf("changes %v, want %s first", got, want)
			}
			if !s.group(k, "db").Up || !s.serves(s.client, vip4) || !s.serves(s.client, vip6) {
				t.Errorf("db isn't up again: %+v", s.group(k, "db"))
			}
			s.run("ip", "-n", s.node, "addr", "add", "10.99.0.101/24", "dev", "wire")
			if s.pings(s.client, spare4) {
				t.Error("an address without permit answers")
			}
		})
	}
}

// A guard entry that somebody else opened is closed again.
func TestForeignGuardEntryIsClosed(t *testing.T) {
	s := newStage(t)
	k := s.kernel(shared)
	s.onNode("nft", "add", "element", "inet", "solevip_test", "live4", "{", "10.99.0.101", "timeout", "1h", "}")
	s.onNode("nft", "add", "element", "arp", "solevip_test", "live4", "{", "10.99.0.101", "timeout", "1h", "}")
	want := []Change{{What: GuardClosed, Group: "web", Address: spare4}}
	if got := s.reconcile(k); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if out := s.onNode("nft", "list", "set", "arp", "solevip_test", "live4"); strings.Contains(out, "10.99.0.101") {
		t.Errorf("still open: %s", out)
	}
}

// A guard entry that somebody made outlast its permit is cut back to it.
func TestForeignGuardLifetimeIsCutBack(t *testing.T) {
	s := newStage(t)
	k := s.kernel(shared)
	until := s.bind(k, "web", 3*time.Second).Until()
	for _, family := range []string{"inet", "arp"} {
		s.onNode("nft", "delete", "element", family, "solevip_test", "live4", "{", "10.99.0.101", "}")
		s.onNode("nft", "add", "element", family, "solevip_test", "live4", "{", "10.99.0.101", "timeout", "1h", "}")
	}
	want := []Change{{What: GuardOpened, Group: "web"}}
	if got := s.reconcile(k); !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if open := s.group(k, "web").Addresses[0].Open; s.now()+open > until+jitter {
		t.Errorf("open for %v more, beyond the permit's end", open)
	}
}

// Whoever altered the guard may have opened it: installing it anew closes all but what is bound after that.
func TestAlteredGuardIsReinstalledClosed(t *testing.T) {
	s := newStage(t)
	k := s.kernel(shared)
	s.onNode("nft", "flush", "chain", "inet", "solevip_test", "input")
	for _, family := range []string{"inet", "arp"} {
		s.onNode("nft", "add", "element", family, "solevip_test", "live4", "{", "10.99.0.101", "timeout", "1h", "}")
	}
	s.run("ip", "-n", s.node, "addr", "add", "10.99.0.101/24", "dev", "wire")
	s.bind(k, "db", 10*time.Second)
	if s.pings(s.client, spare4) {
		t.Error("an address without permit answers")
	}
	if !s.serves(s.client, vip4) {
		t.Error("the bound address doesn't answer")
	}
}

// After the permit's end Reconcile removes what the kernel hasn't yet.
func TestReconcileEndsALapsedPermit(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	until := s.bind(k, "db", 300*time.Millisecond).Until()
	within(t, time.Second, "the permit is over", func() bool { return s.now() > until })
	if got, want := s.reconcile(k), []Change{{What: Lapsed, Group: "db"}}; !slices.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if s.has(vip4) || s.has(vip6) {
		t.Error("an address is still on its link")
	}
	if got := s.reconcile(k); len(got) > 0 {
		t.Errorf("a second reconciliation changed %v", got)
	}
}

func TestWatchReportsOthersOnly(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	changed := k.Watch(t.Context())
	untilQuiet(changed, 1200*time.Millisecond) // the kernel reports a new cable's carrier up to a second late
	s.bind(k, "db", 10*time.Second)
	s.bind(k, "db", 10*time.Second)
	select {
	case <-changed:
		t.Error("our own changes were reported")
	case <-time.After(100 * time.Millisecond):
	}
	for _, does := range [][]string{
		{"ip", "addr", "del", "10.99.0.100/32", "dev", "wire"},
		{"ip", "link", "set", "wire", "down"},
		{"nft", "add", "table", "inet", "another"},
	} {
		s.onNode(does...)
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			t.Errorf("%v was not reported", does)
		}
		untilQuiet(changed, 50*time.Millisecond) // one command may make several reports
	}
}

func untilQuiet(changed <-chan struct{}, still time.Duration) {
	for {
		select {
		case <-changed:
		case <-time.After(still):
			return
		}
	}
}

func TestWatchEnds(t *testing.T) {
	s := newStage(t)
	for name, end := range map[string]func(context.CancelFunc, *Kernel){
		"with its context": func(cancel context.CancelFunc, _ *Kernel) { cancel() },
		"with the kernel":  func(_ context.CancelFunc, k *Kernel) { k.Close() },
	} {
		k := s.kernel()
		ctx, cancel := context.WithCancel(t.Context())
		changed := k.Watch(ctx)
		end(cancel, k)
		within(t, 2*time.Second, "the channel is closed "+name, func() bool {
			_, open := <-changed
			return !open
		})
		cancel()
		k.hangUp()
	}
}

// Events that overran the socket's buffer are lost; that is reported, and what comes later still is.
func TestWatchSurvivesAnOverrun(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	if err := k.events.routes.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	changed := k.Watch(t.Context())
	untilQuiet(changed, 1200*time.Millisecond)

	k.mu.Lock() // the reader waits to learn whose the first address is
	s.run("ip", "-n", s.node, "addr", "add", spare4.String(), "dev", "lo")
	for i := range 100 {
		s.run("ip", "-n", s.node, "addr", "add", fmt.Sprintf("10.96.0.%d/32", i), "dev", "lo")
	}
	k.mu.Unlock()
	untilQuiet(changed, 200*time.Millisecond)
	s.run("ip", "-n", s.node, "addr", "del", spare4.String(), "dev", "lo")
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Error("a change after the overrun was not reported")
	}
}

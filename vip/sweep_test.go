//go:build linux

package vip

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func runQuietly(command ...string) { exec.Command(command[0], command[1:]...).Run() }

func TestSweepClearsWhatAnEarlierLifeLeft(t *testing.T) {
	s := newStage(t)
	earlier := s.kernel()
	s.bind(earlier, "db", 30*time.Second)
	earlier.hangUp()

	s.run("ip", "-n", s.node, "addr", "add", "10.99.0.101/32", "dev", "lo") // left by something else
	k := s.kernel()
	p := s.probe(vip4)
	within(t, time.Second, "still up for its successor to keep", func() bool { _, e := p.answers(); return e > 0 })
	if err := k.Sweep(nil); err != nil {
		t.Fatal(err)
	}
	swept := s.now()
	within(t, time.Second, "100 ms of probes", func() bool { return p.sentUntil() > swept+100*time.Millisecond })
	p.halt()
	if late := p.last() - swept; late > 0 {
		t.Errorf("answered %v after the sweep", late)
	}
	for _, addr := range []netip.Addr{vip4, vip6, spare4} {
		if s.has(addr) {
			t.Errorf("%v is still on a link", addr)
		}
	}
}

// A daemon that is restarted within its lease, by a crash or an upgrade, costs no client a packet.
func TestSweepKeepsWhatIsAdopted(t *testing.T) {
	for name, end := range map[string]func(*Kernel){"killed": func(k *Kernel) { k.hangUp() }, "closed": func(k *Kernel) { k.Close() }} {
		for open, options := range map[string]func(*Options){"owned": func(*Options) {}, "shared": shared} {
			t.Run(name+", "+open, func(t *testing.T) {
				s := newStage(t)
				earlier := s.kernel(options)
				s.bind(earlier, "db", 3*time.Second)
				s.bind(earlier, "web", 3*time.Second)
				p := s.probe(vip4)
				within(t, time.Second, "the address answers", func() bool { _, e := p.answers(); return e > 0 })
				from := s.now()
				end(earlier)

				k := s.kernel(options)
				if err := k.Sweep([]string{"db"}); err != nil {
					t.Fatal(err)
				}
				if changes := s.reconcile(k); len(changes) > 0 {
					t.Errorf("reconciliation after the sweep changed %v", changes)
				}
				if st := s.group(k, "db"); !st.Up || st.Until == 0 || st.Until > s.now()+3*time.Second {
					t.Errorf("adopted group: %+v", st)
				}
				if s.has(spare4) {
					t.Errorf("%v, which wasn't kept, is still on its link", spare4)
				}
				s.bind(k, "db", 10*time.Second)
				to := s.now() + 50*time.Millisecond
				within(t, 2*time.Second, "100 ms of probes", func() bool { return p.sentUntil() > to+50*time.Millisecond })
				p.halt()
				if lost, sent := p.lost(from, to); lost > 0 || sent == 0 {
					t.Errorf("%d of %d echo requests lost", lost, sent)
				}
			})
		}
	}
}

// An adopted group that nobody binds ends when the earlier life's permit would have.
func TestAdoptedGroupEndsOnTime(t *testing.T) {
	s := newStage(t)
	earlier := s.kernel()
	until := s.bind(earlier, "db", 400*time.Millisecond).Until()
	earlier.hangUp()
	k := s.kernel()
	if err := k.Sweep([]string{"db", "web"}); err != nil {
		t.Fatal(err)
	}
	p := s.probe(vip4)
	within(t, 2*time.Second, "probes beyond the end", func() bool { return p.sentUntil() > until+100*time.Millisecond })
	p.halt()
	if late := p.last() - until; p.last() == 0 || late > 0 {
		t.Errorf("last answer %v after the permit's end (at %v)", late, p.last())
	}
	if got := s.reconcile(k); len(got) != 1 || got[0].What != Lapsed {
		t.Errorf("changes %v, want the end of the group", got)
	}
	if s.has(vip4) {
		t.Error("address is still on its link")
	}
}

// An address that was taken out of the configuration while it was up is still cleared.
func TestSweepClearsAddressesOfAnOlderConfiguration(t *testing.T) {
	s := newStage(t)
	earlier := s.kernel()
	s.bind(earlier, "web", 30*time.Second)
	earlier.hangUp()
	k := s.kernel(func(o *Options) { o.Addresses = map[string][]Address{"db": addrs["db"]} })
	if err := k.Sweep(nil); err != nil {
		t.Fatal(err)
	}
	if s.has(spare4) || s.pings(s.client, spare4) {
		t.Errorf("%v is still up", spare4)
	}
	// It's an ordinary address now.
	s.run("ip", "-n", s.node, "addr", "add", "10.99.0.101/24", "dev", "wire")
	if !s.serves(s.client, spare4) {
		t.Errorf("%v is still guarded", spare4)
	}
	if out := s.onNode("nft", "list", "ruleset"); strings.Contains(out, spare4.String()) {
		t.Errorf("%v is still in the tables", spare4)
	}
}

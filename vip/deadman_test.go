//go:build linux

package vip

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func interfaceIndex(t testing.TB) int {
	wire, err := net.InterfaceByName("wire")
	if err != nil {
		t.Error(err)
		return 0
	}
	return wire.Index
}

// The kernel ends a permit when nobody is left to do it: the daemon does nothing more, or is gone with its sockets, as
// SIGKILL leaves it.
func TestPermitEndsByItself(t *testing.T) {
	for name, leave := range map[string]func(*Kernel){
		"daemon hangs": func(*Kernel) {},
		"daemon dies":  func(k *Kernel) { k.hangUp() },
	} {
		for _, addr := range []netip.Addr{vip4, vip6} {
			t.Run(name+", "+addr.String(), func(t *testing.T) {
				s := newStage(t)
				k := s.kernel()
				p := s.probe(addr)
				until := s.bind(k, "db", 1500*time.Millisecond).Until()
				within(t, 1400*time.Millisecond, "the address answers", func() bool { r, e := p.answers(); return r > 0 && e > 0 })
				leave(k)

				lingered := false
				within(t, 5*time.Second, "the address is off the link and was probed all the while", func() bool {
					on := s.has(addr)
					lingered = lingered || on && s.now() > until
					return !on && p.sentUntil() > until+100*time.Millisecond
				})
				p.halt()
				t.Logf("last answer %v before the deadline", until-p.last())
				if late := p.last() - until; late > 0 {
					t.Errorf("answered %v after the permit's end", late)
				}
				if early := until - p.last(); early > 250*time.Millisecond {
					t.Errorf("silent %v before the permit's end", early)
				}
				if !lingered {
					t.Error("address was off the link at the permit's end: the guard had nothing to prove")
				}
			})
		}
	}
}

// A permit that is renewed in time costs no client a packet.
func TestExtensionLosesNothing(t *testing.T) {
	for _, addr := range []netip.Addr{vip4, vip6} {
		t.Run(addr.String(), func(t *testing.T) {
			s := newStage(t)
			k := s.kernel()
			s.bind(k, "db", time.Second)
			p := s.probe(addr)
			within(t, 2*time.Second, "the address answers", func() bool { _, e := p.answers(); return e > 0 })
			from := s.now()
			beat := time.NewTicker(100 * time.Millisecond)
			defer beat.Stop()
			for range 20 {
				<-beat.C
				s.bind(k, "db", time.Second)
			}
			to := s.now()
			p.halt()
			lost, sent := p.lost(from, to)
			t.Logf("%d echo requests in %v, %d lost", sent, to-from, lost)
			if lost > 0 || sent < 500 {
				t.Errorf("%d of %d echo requests lost", lost, sent)
			}
			if k.lateness > 0 {
				t.Errorf("armed %v beyond the permit", k.lateness)
			}
		})
	}
}

// frozenClock is a clock whose n-th reading, once armed, comes back only when the permit is over: the process was
// stopped between reading the clock and acting on it.
type frozenClock struct {
	s     *stage
	until time.Duration
	left  int // readings before the freeze; negative: not armed
}

func (c *frozenClock) now() time.Duration {
	read := c.s.now()
	if c.left == 0 {
		thaw := time.NewTicker(time.Millisecond)
		defer thaw.Stop()
		for c.s.now() < c.until+20*time.Millisecond {
			<-thaw.C
		}
	}
	c.left--
	return read
}

// A daemon that was frozen anywhere in Bind and thaws after its permit's end brings nothing up and reopens nothing.
func TestThawedBindOpensNothing(t *testing.T) {
	for _, up := range []bool{false, true} {
		name := map[bool]string{false: "first bind", true: "extension"}[up]
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			clock := &frozenClock{s: s, left: -1}
			k := s.kernel(func(o *Options) { o.Clock = clock.now })
			p := s.probe(vip4)
			succeeded := 0
			for readings := range 12 {
				if err := k.Unbind("db"); err != nil {
					t.Fatal(err)
				}
				if up {
					s.bind(k, "db", 300*time.Millisecond)
				}
				permit := s.permit("db", 400*time.Millisecond)
				clock.until, clock.left = permit.Until(), readings
				err := k.Bind(permit)
				froze := clock.left < 0 && s.now() > permit.Until()
				clock.left = -1
				if !froze {
					t.Logf("Bind reads the clock %d times", readings)
					if succeeded > 1 {
						t.Errorf("Bind succeeded after %d different freezes", succeeded)
					}
					return
				}
				if err == nil {
					succeeded++ // frozen after its last look at the clock: all was done in time
				}
				if err != nil && !up && s.has(vip4) {
					t.Errorf("frozen at reading %d: the address is on its link (Bind: %v)", readings, err)
				}
				end := s.now() + 30*time.Millisecond
				within(t, time.Second, "probes after the thaw", func() bool { return p.sentUntil() > end })
				if last := p.last(); last > permit.Until() {
					t.Errorf("frozen at reading %d: answered %v after the permit's end (Bind: %v)", readings, last-permit.Until(), err)
				}
			}
			t.Error("Bind reads the clock more often than this test freezes it")
		})
	}
}

//go:build linux

package vip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/solevip/solevip/claim"
)

// thousand is 250 groups of 4 addresses.
func thousand(six bool) map[string][]Address {
	all := map[string][]Address{}
	for g := range 250 {
		name := fmt.Sprintf("group%03d", g)
		for a := range 4 {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 98, byte(g), byte(a + 1)}), 32)
			if six {
				prefix = netip.MustParsePrefix(fmt.Sprintf("fd98::%x:%x/128", g, a+1))
			}
			all[name] = append(all[name], Address{Prefix: prefix, Interface: "wire"})
		}
	}
	return all
}

func (s *stage) permits(groups map[string][]Address, life time.Duration) []claim.Permit {
	var permits []claim.Permit
	for _, name := range groupNames(groups) {
		permits = append(permits, s.permit(name, life))
	}
	return permits
}

// BenchmarkThousand is what a node with 1,000 addresses does: all up after a crash, kept by a beat, announced,
// looked over, and all down.
func BenchmarkThousand(b *testing.B) {
	for _, six := range []bool{false, true} {
		all := thousand(six)
		open := func(b *testing.B) (*stage, *Kernel) {
			s := newStage(b)
			k := s.kernel(func(o *Options) { o.Addresses = all })
			if err := k.Sweep(nil); err != nil {
				b.Fatal(err)
			}
			return s, k
		}
		bind := func(b *testing.B, s *stage, k *Kernel) {
			if err := k.Bind(s.permits(all, 20*time.Second)...); err != nil {
				b.Fatal(err)
			}
		}
		unbind := func(b *testing.B, k *Kernel) {
			if err := k.Unbind(groupNames(all)...); err != nil {
				b.Fatal(err)
			}
		}
		name := map[bool]string{false: "IPv4", true: "IPv6"}[six]
		b.Run(name+"/bind", func(b *testing.B) {
			s, k := open(b)
			for b.Loop() {
				bind(b, s, k)
				b.StopTimer()
				unbind(b, k)
				b.StartTimer()
			}
		})
		b.Run(name+"/extend", func(b *testing.B) {
			s, k := open(b)
			bind(b, s, k)
			for b.Loop() {
				bind(b, s, k)
			}
			b.ReportMetric(float64(k.slack.Microseconds())/1000, "ms-slack")
		})
		b.Run(name+"/announce", func(b *testing.B) {
			s, k := open(b)
			bind(b, s, k)
			for b.Loop() {
				if err := k.Announce(b.Context(), groupNames(all)...); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/reconcile", func(b *testing.B) {
			s, k := open(b)
			bind(b, s, k)
			for b.Loop() {
				if _, err := k.Reconcile(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/unbind", func(b *testing.B) {
			s, k := open(b)
			for b.Loop() {
				b.StopTimer()
				bind(b, s, k)
				b.StartTimer()
				unbind(b, k)
			}
		})
	}
}

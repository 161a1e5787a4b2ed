package vrrp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	group        = netip.MustParseAddr("224.0.0.18")
	alice        = netip.MustParseAddr("192.0.2.1")
	bob          = netip.MustParseAddr("192.0.2.2")
	alice6       = netip.MustParseAddr("fe80::7c39:99ff:fee7:8e8e")
	group6       = netip.MustParseAddr("ff02::12")
	twoVIPs      = addrs("198.51.100.10", "198.51.100.11")
)

// vectors are adverts as keepalived 2.2.7 (Debian 12) sent them between two network namespaces, caught with
// tcpdump, less the IP header. That version can't send version 3 without the pseudo-header: there
// the checksum was computed by hand.
var vectors = []struct {
	name     string
	src, dst netip.Addr
	advert   Advert
	hex      string
}{
	{
		"version 2", alice, group,
		Advert{Version: V2, VRID: 50, Priority: 200, Interval: time.Second, Addresses: twoVIPs},
		"2132c802 0001c24c c633640a c633640b 00000000 00000000",
	},
	{
		"version 2, giving up", alice, group,
		Advert{Version: V2, VRID: 50, Priority: 0, Interval: time.Second, Addresses: twoVIPs},
		"21320002 00018a4d c633640a c633640b 00000000 00000000",
	},
	{
		"version 2 with a password", alice, group,
		Advert{Version: V2, VRID: 50, Priority: 200, Interval: time.Second, Addresses: twoVIPs, Auth: Pass("s3cret")},
		"2132c802 01018532 c633640a c633640b 73336372 65740000",
	},
	{
		"version 3, half a second", alice, group,
		Advert{Version: V3, VRID: 50, Priority: 200, Interval: 500 * time.Millisecond, Addresses: twoVIPs},
		"3132c802 00320f87 c633640a c633640b",
	},
	{
		"version 3, giving up", alice, group,
		Advert{Version: V3, VRID: 50, Priority: 0, Interval: 500 * time.Millisecond, Addresses: twoVIPs},
		"31320002 0032d787 c633640a c633640b",
	},
	{
		"version 3, unicast: another pseudo-header", alice, bob,
		Advert{Version: V3, VRID: 50, Priority: 200, Interval: time.Second, Addresses: twoVIPs},
		"3132c802 00642d65 c633640a c633640b",
	},
	{
		"version 3 without pseudo-header", alice, group,
		Advert{Version: V3, VRID: 50, Priority: 200, Interval: time.Second, Addresses: twoVIPs, Checksum: WithoutPseudoHeader},
		"3132c802 0064b1e9 c633640a c633640b",
	},
	{
		"version 3 over IPv6", alice6, group6,
		Advert{Version: V3, VRID: 50, Priority: 200, Interval: 200 * time.Millisecond, Addresses: addrs("fe80::50", "2001:db8::50")},
		"3132c802 001437ff fe800000 00000000 00000000 00000050 20010db8 00000000 00000000 00000050",
	},
}

func TestVectorsBothWays(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			want := unhex(t, v.hex)
			got, err := v.advert.Marshal(v.src, v.dst)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(hex.EncodeToString(want), hex.EncodeToString(got)); d != "" {
				t.Errorf("marshalled (-keepalived +ours):\n%s", d)
			}
			back, err := Parse(want, v.src, v.dst)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(v.advert, back, compareAddrs); d != "" {
				t.Errorf("parsed (-want +got):\n%s", d)
			}
		})
	}
}

// mend makes the checksum right again, in the usual dialect.
func mend(b []byte, src, dst netip.Addr) {
	n, err := extent(b, src.Is6())
	if err != nil {
		return // refused for another reason, before anybody looks at the checksum
	}
	b[6], b[7] = 0, 0
	seed := uint32(0)
	if b[0]>>4 == uint8(V3) {
		seed = pseudoHeader(src, dst, n)
	}
	s := checksum(b[:n], seed)
	b[6], b[7] = byte(s>>8), byte(s)
}

func TestParseToleratesPaddingAndReservedBits(t *testing.T) {
	v := vectors[3]
	b := unhex(t, v.hex)
	b[4] |= 0xa0 // RFC 9568 section 5.2.6: ignored on reception
	mend(b, v.src, v.dst)
	b = append(b, make([]byte, 10)...) // a short Ethernet frame is filled up to 46 bytes
	got, err := Parse(b, v.src, v.dst)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(v.advert, got, compareAddrs); d != "" {
		t.Error(d)
	}
}

func TestParseRefuses(t *testing.T) {
	// Each row spoils a good packet and mends its checksum, so that the named check must be the one that refuses.
	rows := []struct {
		name  string
		of    int
		spoil func(b []byte) []byte
		want  string
	}{
		{"an empty packet", 5, func(b []byte) []byte { return nil }, "0 bytes"},
		{"half a header", 5, func(b []byte) []byte { return b[:7] }, "7 bytes"},
		{"version 1", 5, func(b []byte) []byte { b[0] = 0x11; return b }, "version 1"},
		{"version 4", 5, func(b []byte) []byte { b[0] = 0x41; return b }, "version 4"},
		{"an unknown type", 5, func(b []byte) []byte { b[0] = 0x32; return b }, "type 2"},
		{"no addresses", 5, func(b []byte) []byte { b[3] = 0; return b[:8] }, "no addresses"},
		{"fewer addresses than counted", 5, func(b []byte) []byte { b[3] = 3; return b }, "16 bytes, 3 addresses need 20"},
		{"virtual router 0", 5, func(b []byte) []byte { b[1] = 0; return b }, "virtual router id 0"},
		{"interval 0 in version 3", 5, func(b []byte) []byte { b[4], b[5] = 0xf0, 0; return b }, "interval 0"},
		{"interval 0 in version 2", 0, func(b []byte) []byte { b[5] = 0; return b }, "interval 0"},
		{"version 2 without its last 8 bytes", 0, func(b []byte) []byte { return b[:16] }, "16 bytes, 2 addresses need 24"},
		{"an unknown authentication", 0, func(b []byte) []byte { b[4] = 2; return b }, "authentication type 2"},
		{"version 2 over IPv6", 7, func(b []byte) []byte { b[0] = 0x21; return b }, "version 2 over IPv6"},
		{"an IPv6 list without link-local", 7, func(b []byte) []byte { b[8] = 0x20; return b }, "must be a link-local one"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			v := vectors[r.of]
			b := r.spoil(unhex(t, v.hex))
			mend(b, v.src, v.dst)
			got, err := Parse(b, v.src, v.dst)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), r.want) {
				t.Errorf("error %v, want one about %q", err, r.want)
			}
			if d := cmp.Diff(Advert{}, got, compareAddrs); d != "" {
				t.Errorf("a refused packet left something behind:\n%s", d)
			}
		})
	}
}

func TestParseNoticesEveryFlippedBit(t *testing.T) {
	for _, v := range vectors {
		good := unhex(t, v.hex)
		for i := range len(good) * 8 {
			b := append([]byte(nil), good...)
			b[i/8] ^= 1 << (i % 8)
			got, err := Parse(b, v.src, v.dst)
			if err == nil && cmp.Equal(v.advert, got, compareAddrs) {
				t.Errorf("%s: bit %d flipped, and nothing was noticed", v.name, i)
			}
			if err == nil {
				t.Errorf("%s: bit %d flipped, parsed as %v", v.name, i, got)
			}
		}
	}
}

func TestVersion2HasNoPseudoHeader(t *testing.T) {
	b := unhex(t, vectors[0].hex)
	b[6], b[7] = 0, 0
	s := checksum(b, pseudoHeader(alice, group, len(b)))
	b[6], b[7] = byte(s>>8), byte(s)
	if _, err := Parse(b, alice, group); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v, want a wrong checksum", err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	good := vectors[3].advert
	many := make([]netip.Addr, 256)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
	}
	rows := []struct {
		name  string
		spoil func(a *Advert)
		want  string
	}{
		{"version 1", func(a *Advert) { a.Version = 1 }, "version 1"},
		{"virtual router 0", func(a *Advert) { a.VRID = 0 }, "virtual router id 0"},
		{"no interval", func(a *Advert) { a.Interval = 0 }, "10ms to 40.95s"},
		{"an interval that 12 bits can't hold", func(a *Advert) { a.Interval = 41 * time.Second }, "10ms to 40.95s"},
		{"an interval between centiseconds", func(a *Advert) { a.Interval = 15 * time.Millisecond }, "in steps of 10ms"},
		{"half a second in version 2", func(a *Advert) { a.Version = V2 }, "1s to 4m15s"},
		{"no addresses", func(a *Advert) { a.Addresses = nil }, "0 addresses"},
		{"too many addresses", func(a *Advert) { a.Addresses = many }, "256 addresses"},
		{"an address that is none", func(a *Advert) { a.Addresses = []netip.Addr{{}} }, "invalid IP"},
		{"IPv4 in IPv6", func(a *Advert) { a.Addresses = addrs("::ffff:198.51.100.10") }, "plain IPv4 or IPv6"},
		{"two families", func(a *Advert) { a.Addresses = addrs("198.51.100.10", "fe80::1") }, "two families"},
		{"IPv6 without link-local", func(a *Advert) { a.Addresses = addrs("2001:db8::1") }, "link-local"},
		{"IPv6 from an IPv4 source", func(a *Advert) { a.Addresses = addrs("fe80::1") }, "from 192.0.2.1"},
		{"a password in version 3", func(a *Advert) { a.Auth = Pass("x") }, "no authentication"},
		{"a long password", func(a *Advert) {
			a.Version, a.Interval, a.Auth = V2, time.Second, Auth{Type: AuthPass, Text: "123456789"}
		}, "9 bytes"},
		{"a password of no type", func(a *Advert) {
			a.Version, a.Interval, a.Auth = V2, time.Second, Auth{Text: "x"}
		}, "without authentication type"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			a := good
			r.spoil(&a)
			if b, err := a.Marshal(alice, group); err == nil || !strings.Contains(err.Error(), r.want) {
				t.Errorf("%x, error %v; want an error about %q", b, err, r.want)
			}
		})
	}
}

func TestMostAddressesFit(t *testing.T) {
	a := vectors[0].advert
	a.Addresses = make([]netip.Addr, 255)
	for i := range a.Addresses {
		a.Addresses[i] = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
	}
	b, err := a.Marshal(alice, group)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Parse(b, alice, group); err != nil || !cmp.Equal(a, back, compareAddrs) {
		t.Errorf("parsed back as %v, %v", back, err)
	}
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	type holder struct{ A Advert }
	a := vectors[2].advert
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, what := range []any{a, a.Auth, holder{a}, &a, Heard{Advert: a, From: alice}} {
			if s := fmt.Sprintf(verb, what); strings.Contains(s, "s3cret") {
				t.Errorf("%s of %T prints the password: %s", verb, what, s)
			}
		}
	}
}

// FuzzParse: what is parsed can be marshalled, and is then parsed as the same. With mended set the
// checksum is right, so that the checks behind it are reached.
func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.hex), v.src.Is6(), false)
		f.Add(unhex(f, v.hex), v.src.Is6(), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, six, mended bool) {
		src, dst := alice, group
		if six {
			src, dst = alice6, group6
		}
		if mended {
			b = append([]byte(nil), b...)
			mend(b, src, dst)
		}
		a, err := Parse(b, src, dst)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v is not ErrMalformed", err)
			}
			return
		}
		out, err := a.Marshal(src, dst)
		if err != nil {
			t.Fatalf("%v was parsed and can't be marshalled: %v", a, err)
		}
		back, err := Parse(out, src, dst)
		if err != nil {
			t.Fatalf("%v does not survive the round trip: %v", a, err)
		}
		if d := cmp.Diff(a, back, compareAddrs); d != "" {
			t.Errorf("round trip (-first +second):\n%s", d)
		}
	})
}

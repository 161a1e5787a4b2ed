package vip

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsTellEveryMistake(t *testing.T) {
	clock := func() time.Duration { return 0 }
	at := func(prefix, link string) Address {
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			p = netip.Prefix{}
		}
		return Address{Prefix: p, Interface: link}
	}
	for _, tt := range []struct {
		name string
		o    Options
		want []string // parts of the error; none: no error
	}{
		{
			name: "a plain configuration",
			o:    Options{Name: "orders", Clock: clock, Addresses: map[string][]Address{"db": {at("10.0.0.1/24", "eth0"), at("fd00::1/64", "eth0")}}},
		},
		{
			name: "nothing at all",
			o:    Options{},
			want: []string{`cluster name ""`, "no clock"},
		},
		{
			name: "the same address twice, in two groups",
			o: Options{Name: "x", Clock: clock, Addresses: map[string][]Address{
				"a": {at("10.0.0.1/24", "eth0")}, "b": {at("10.0.0.1/32", "eth1")},
			}},
			want: []string{"group b: address 10.0.0.1: group a has it already"},
		},
		{
			name: "addresses that can't be virtual ones",
			o: Options{Name: "x", Clock: clock, Addresses: map[string][]Address{
				"a": {at("127.0.0.1/8", "lo"), at("224.0.0.1/32", "eth0"), at("::ffff:10.0.0.1/128", "eth0"), at("", "eth0"), at("10.0.0.1/24", "")},
				"b": {},
			}},
			want: []string{"127.0.0.1/8: a virtual address", "224.0.0.1/32: a virtual address", "write it as 10.0.0.1", "invalid Prefix", `interface ""`, "group b: no address"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.o.check()
			if len(tt.want) == 0 && err != nil {
				t.Fatalf("refused: %v", err)
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

func TestTableNamesAreDistinctAndWritable(t *testing.T) {
	seen := map[string]string{}
	for _, cluster := range []string{"orders", "orders-eu", "orders_eu", "orders.eu", "Bestellungen Süd"} {
		name := tableName(cluster)
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q share table %s", cluster, other, name)
		}
		seen[name] = cluster
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			t.Errorf("%q: nft can't write %s", cluster, name)
		}
	}
	if got := tableName("orders"); got != "solevip_orders" {
		t.Errorf("got %s", got)
	}
}

func TestAddressIsBoundAsAHostUnlessKept(t *testing.T) {
	for _, tt := range []struct {
		in   Address
		want string
	}{
		{Address{Prefix: netip.MustParsePrefix("10.0.0.100/24")}, "10.0.0.100/32"},
		{Address{Prefix: netip.MustParsePrefix("10.0.0.100/24"), KeepPrefix: true}, "10.0.0.100/24"},
		{Address{Prefix: netip.MustParsePrefix("fd00::1/64")}, "fd00::1/128"},
	} {
		if got := tt.in.Bound().String(); got != tt.want {
			t.Errorf("%v is bound as %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestFailedGroupsFindsNamesAtAnyDepth(t *testing.T) {
	deep := errors.Join(nil, &GroupError{"b", errors.New("x")}, errors.Join(&GroupError{"a", errors.New("y")}, errors.New("z")), &GroupError{"b", errors.New("w")})
	if got, want := FailedGroups(deep), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := FailedGroups(errors.New("netlink")); len(got) > 0 {
		t.Errorf("an error without groups names %v", got)
	}
	if got := FailedGroups(nil); len(got) > 0 {
		t.Errorf("no error names %v", got)
	}
}

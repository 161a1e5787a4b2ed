package keepalived

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vi is a vrrp_instance in one line each.
func vi(name, iface, vrid, address, more string) string {
	return fmt.Sprintf("vrrp_instance %s {\ninterface %s\nvirtual_router_id %s\n%s\nvirtual_ipaddress {\n%s\n}\n}\n", name, iface, vrid, more, address)
}

// TestJoin shows which instances of two files are one virtual router: GROUP = nodes.
func TestJoin(t *testing.T) {
	for _, x := range []struct {
		name     string
		one, two string
		want     []string
	}{
		{"an address in common", vi("A", "eth0", "1", "192.0.2.1", ""), vi("B", "ens3", "1", "192.0.2.1", ""), []string{"A = one two"}},
		{"the name in common", vi("A", "eth0", "1", "192.0.2.1", ""), vi("A", "ens3", "1", "192.0.2.2", ""), []string{"A = one two"}},
		{"the interface in common", vi("A", "eth0", "1", "192.0.2.1", ""), vi("B", "eth0", "1", "192.0.2.2", ""), []string{"A = one two"}},
		{"nothing but the number", vi("A", "eth0", "1", "192.0.2.1", ""), vi("B", "ens3", "1", "192.0.2.2", ""), []string{"A = one", "B = two"}},
		{"an address goes before a name",
			vi("A", "eth0", "1", "192.0.2.1", "") + vi("B", "eth1", "1", "192.0.2.2", ""),
			vi("B", "eth0", "1", "192.0.2.1", "") + vi("A", "eth1", "1", "192.0.2.2", ""), []string{"A = one two", "B = one two"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := load(t, imported(t, x.one, x.two))
			var got []string
			for _, g := range c.Groups {
				got = append(got, g.Name+" = "+strings.Join(g.Members, " "))
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUnicastAddresses shows who is found to be where, from unicast_src_ip and what the others list.
func TestUnicastAddresses(t *testing.T) {
	source := func(a string) string { return "unicast_src_ip " + a + "\n" }
	peers := func(list ...string) string { return "unicast_peer {\n" + strings.Join(list, "\n") + "\n}" }
	for _, x := range []struct {
		name     string
		one, two string
		want     string
	}{
		{"both say it", source("10.0.0.1") + peers("10.0.0.2"), source("10.0.0.2") + peers("10.0.0.1"), "map[one:10.0.0.1 two:10.0.0.2]"},
		{"each is whom the other lists", peers("10.0.0.2"), peers("10.0.0.1"), "map[one:10.0.0.1 two:10.0.0.2]"},
		{"and a third that both list", peers("10.0.0.2", "10.0.0.3"), peers("10.0.0.1", "10.0.0.3"), "map[one:10.0.0.1 peer1:10.0.0.3 two:10.0.0.2]"},
		{"nobody says who is who", peers("10.0.0.7"), peers("10.0.0.7"), "map[]"},
		{"two that could be it", peers("10.0.0.9"), peers("10.0.0.1", "10.0.0.2"), "map[]"},
		{"multicast", "", "", "map[]"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := load(t, imported(t, vi("A", "eth0", "1", "10.0.0.100", x.one), vi("A", "eth0", "1", "10.0.0.100", x.two)))
			if got := fmt.Sprint(c.Groups[0].Instances[0].UnicastAddresses); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
		})
	}
}

func imported(t *testing.T, one, two string) string {
	t.Helper()
	res, err := Import([]Source{{Path: "one.conf"}, {Path: "two.conf"}}, memory(map[string]string{"one.conf": one, "two.conf": two}))
	if err != nil {
		t.Fatal(err)
	}
	return string(res.File)
}

//go:build linux

package lab

import (
	"net"
	"net/netip"
	"regexp"
)

// VIP is the address that the members share.
var VIP = netip.MustParseAddr("10.77.0.50")

// clientAddr is where the client asks from.
var clientAddr = netip.MustParseAddr("10.77.0.100")

const (
	nodeBits    = "/24"
	bmcNet      = "10.77.1.0/24"
	nodeNet     = "10.77.0.0/24"
	clientPort  = "client"
	bmcSuffix   = "-bmc"
	nodeLink    = "eth0" // a machine's only interface
	switchLink  = "br0"
	vrid        = 50
	groupName   = "db"
	clusterName = "lab"
)

// Node is a simulated machine.
type Node struct {
	Name     string
	Member   bool // it may hold the VIP and has a BMC; else it is the arbiter
	Addr     netip.Addr
	BMC      netip.Addr
	Priority int // VRRP's
}

// Nodes are the machines of every lab.
var Nodes = []Node{
	{Name: "db1", Member: true, Addr: netip.MustParseAddr("10.77.0.11"), BMC: netip.MustParseAddr("10.77.1.11"), Priority: 200},
	{Name: "db2", Member: true, Addr: netip.MustParseAddr("10.77.0.12"), BMC: netip.MustParseAddr("10.77.1.12"), Priority: 100},
	{Name: "arb", Addr: netip.MustParseAddr("10.77.0.13")},
}

// NodeNamed finds a machine.
func NodeNamed(name string) (Node, bool) {
	for _, n := range Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Other is the other member.
func Other(member string) string {
	if member == "db1" {
		return "db2"
	}
	return "db1"
}

// port is something plugged into the switch. Its name is the name of its cable's end there.
type port struct {
	name string
	mac  net.HardwareAddr
	addr netip.Addr
	far  string // the network that is reached through the same cable without a gateway
}

// ports are all that is plugged in: the machines, the client, the members' BMCs.
func ports() []port {
	ps := []port{{name: clientPort, mac: macOf(clientAddr), addr: clientAddr, far: bmcNet}}
	for _, n := range Nodes {
		ps = append(ps, port{name: n.Name, mac: macOf(n.Addr), addr: n.Addr, far: bmcNet})
		if n.Member {
			ps = append(ps, port{name: n.Name + bmcSuffix, mac: macOf(n.BMC), addr: n.BMC, far: nodeNet})
		}
	}
	return ps
}

// macOf gives each address a MAC address that can be read: locally administered, then the IPv4 address.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0x4c, b[0], b[1], b[2], b[3]}
}

// validName is what namespaces and directories may be called; short, for it is typed often.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,19}$`)

// namespace is the name of one namespace of a lab.
func namespace(lab, part string) string { return "solevip-" + lab + "-" + part }

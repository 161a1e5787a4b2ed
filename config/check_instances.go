package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (d *document) checkInstance(c *Config, g *Group, in *Instance, path string) {
	d.checkInterface(c, g, in, path+".interface")
	d.checkVIPs(in, path+".addresses")
	d.checkVersion(in, path)
	d.checkUnicast(c, g, in, path)
}

// checkInterface gives every member its interface.
func (d *document) checkInterface(c *Config, g *Group, in *Instance, path string) {
	rest := in.Interface["*"]
	named := maps.Clone(in.Interface)
	delete(named, "*")
	d.checkTable(c, g, path, slices.Sorted(maps.Keys(named)))
	for _, name := range in.Interface {
		// The kernel's rule, dev_valid_name: at most 15 bytes, no slash, no colon, no space.
		if len(name) > 15 || strings.ContainsAny(name, "/: ") || name == "." || name == ".." {
			d.wrong(path, fmt.Sprintf("%q is not the name of an interface", name), "see ip link")
		}
	}
	full := map[string]string{}
	for _, m := range g.Members {
		if full[m] = named[m]; full[m] == "" {
			full[m] = rest
		}
		if full[m] == "" && len(in.Interface) > 0 && !d.anyWrong(path) {
			d.wrong(path, "has none for "+m, fmt.Sprintf("add %s: ..., or \"*\": ... for all the others", m))
		}
	}
	in.Interface = full
}

func (d *document) checkVIPs(in *Instance, path string) {
	if d.mentions(path) && len(in.Addresses) == 0 && !d.anyWrong(path) {
		d.wrong(path, "is empty", "write addresses: [10.0.0.100/24]")
	}
	if len(in.Addresses) > 255 {
		d.wrong(path, fmt.Sprintf("%d addresses don't fit into an advert, which holds 255", len(in.Addresses)), "split them between instances")
	}
	for i, v := range in.Addresses {
		p, a := fmt.Sprintf("%s[%d]", path, i), v.Addr()
		switch {
		case !v.IsValid():
		case a.Is6():
			d.wrong(p, "IPv6 is not in this version", "remove it")
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == broadcast:
			d.wrong(p, fmt.Sprintf("%v can't be an address that moves between machines", a), "write a unicast address of the interface's network")
		case v.Bits() == 0:
			d.wrong(p, "the prefix length 0 makes every address a neighbour", "write the network's length, such as /24")
		case v.Bits() < 31 && a == v.Masked().Addr():
			d.wrong(p, fmt.Sprintf("%v is the network itself", v), "write the address of a host in it")
		case v.Bits() < 31 && a == last(v):
			d.wrong(p, fmt.Sprintf("%v is the broadcast address of its network", a), "write the address of a host")
		}
	}
}

// last is the highest address of an IPv4 network: its broadcast address.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// checkVersion holds the advert's keys to what the version can say on the wire: version 2 has
// whole seconds in eight bits (RFC 3768 §5.3.7), version 3 hundredths in twelve (RFC 9568 §5.2.7).
func (d *document) checkVersion(in *Instance, path string) {
	v := in.AdvertInterval
	switch {
	case in.Version == 2 && v%time.Second != 0:
		d.wrong(path+".advert_interval", fmt.Sprintf("%v is not whole seconds, and version 2 knows no other", v), "write 1s, or use version: 3")
	case in.Version == 3 && v%(10*time.Millisecond) != 0:
		d.wrong(path+".advert_interval", fmt.Sprintf("%v is not a multiple of 10ms, and version 3 counts hundredths of a second", v), "round it to 10ms")
	case in.Version == 3 && v > 4095*10*time.Millisecond:
		d.wrong(path+".advert_interval", fmt.Sprintf("%v is more than version 3 can say, 40.95s", v), "shorten it")
	}
	if in.Version == 2 && d.mentions(path+".checksum") {
		d.wrong(path+".checksum", "version 2 has one checksum only", "remove it")
	}
	if d.mentions(path + ".auth") {
		if in.Version == 3 {
			d.wrong(path+".auth", "version 3 has no authentication", "remove it, or write version: 2")
		}
		if in.Auth != nil {
			d.checkPassword(path+".auth", true)
			d.absolute(path+".auth.password_file", in.Auth.PasswordFile)
		}
	}
}

// checkUnicast gives every member its address.
func (d *document) checkUnicast(c *Config, g *Group, in *Instance, path string) {
	p := path + ".unicast_addresses"
	d.checkTable(c, g, p, slices.Sorted(maps.Keys(in.UnicastAddresses)))
	if !in.Unicast {
		if d.mentions(p) && !d.mentions(path+".unicast") {
			d.wrong(p, "is of no use while unicast is false", "add unicast: true, or remove it")
		}
		in.UnicastAddresses = nil
		return
	}
	full := map[string]netip.Addr{}
	for _, m := range g.Members {
		n, _ := c.Node(m)
		a, given := in.UnicastAddresses[m]
		if !given {
			a = n.Address
		}
		at := join(p, m)
		switch {
		case !a.IsValid() && !d.mentions(at) && !d.mentions("cluster.nodes."+m+".address"):
			d.wrong(path+".unicast", "there is no address for "+m, fmt.Sprintf("add %s under unicast_addresses, or an address under cluster.nodes", m))
		case a.IsValid() && !a.Is4():
			d.wrong(at, fmt.Sprintf("the address of %s is %v, and adverts are IPv4", m, a), fmt.Sprintf("write an IPv4 address for %s under unicast_addresses", m))
		case a.IsValid():
			full[m] = a
		}
	}
	in.UnicastAddresses = full
}

// lan is what must be unique where the groups meet: addresses, and virtual routers.
type lan struct {
	owners  map[netip.Addr]string // whose address it is, in words
	routers []router
}

// router is a virtual router on an interface of a node.
type router struct {
	vrid  uint8
	group *Group
	in    *Instance
	path  string
}

func newLAN(c *Config) *lan {
	l := &lan{owners: map[netip.Addr]string{}}
	for _, f := range c.Fencing {
		for _, level := range f.Levels {
			for _, dev := range level {
				if at, err := netip.ParseAddrPort(dev.bmc()); err == nil {
					l.owners[at.Addr()] = "the BMC of " + f.Node
				}
			}
		}
	}
	for _, n := range c.Cluster.Nodes {
		if n.Address.IsValid() {
			l.owners[n.Address] = "the address of node " + n.Name
		}
	}
	return l
}

// add notes an instance, and what it shares with another that it must not.
func (l *lan) add(d *document, g *Group, in *Instance, path string) {
	for i, v := range in.Addresses {
		p := fmt.Sprintf("%s.addresses[%d]", path, i)
		if !v.IsValid() {
			continue
		}
		if owner, ok := l.owners[v.Addr()]; ok {
			d.wrong(p, fmt.Sprintf("%v is %s, too", v.Addr(), owner), "choose another address, or remove one")
			continue
		}
		l.owners[v.Addr()] = "in " + path
	}
	if in.VRID == 0 {
		return
	}
	me := router{in.VRID, g, in, path}
	for _, other := range l.routers {
		if ifname, ok := other.meets(me); ok {
			d.wrong(path+".vrid", fmt.Sprintf("%d is taken on %s by %s", in.VRID, ifname, other.path), "choose another number from 1 to 255")
			break
		}
	}
	l.routers = append(l.routers, me)
}

// meets reports whether two routers have the same number on what seems to be the same LAN: the
// same interface of a node, or, without a common node, the same name.
func (r router) meets(o router) (string, bool) {
	if r.vrid != o.vrid {
		return "", false
	}
	common := false
	for node, name := range r.in.Interface {
		if other, ok := o.in.Interface[node]; ok {
			common = true
			if other == name && name != "" {
				return name, true
			}
		}
	}
	for _, name := range r.in.Interface {
		for _, other := range o.in.Interface {
			if !common && name == other && name != "" {
				return name, true
			}
		}
	}
	return "", false
}

package keepalived

import (
	"fmt"
	"net/netip"
	"strings"
)

// readAddresses reads the lines of virtual_ipaddress and virtual_ipaddress_excluded.
func (in *instance) readAddresses(s statement) {
	for _, l := range s.body {
		if len(in.addresses) >= maxAddresses {
			in.drop(l, fmt.Sprintf("an advert holds %d addresses; this one and what follows is left out", maxAddresses))
			return
		}
		if a, ok := in.readAddress(l); ok {
			in.addresses = append(in.addresses, address{a, l.at})
		}
	}
}

// readAddress reads one line: IP[/mask] and options.
func (in *instance) readAddress(l statement) (netip.Prefix, bool) {
	text := l.keyword()
	if i := strings.IndexByte(text, '-'); i > 0 { // a range, which only IPVS has
		in.drop(l, "is not an address")
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(text)
	if a, err1 := netip.ParseAddr(text); err1 == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		in.drop(l, "is not an address")
		return p, false
	}
	if p.Addr().Is6() {
		in.drop(l, "IPv6 is not in this version: nobody has this address once keepalived is stopped")
		in.left = append(in.left, strings.Join(l.words, " "))
		return p, false
	}
	if why := unfit(p); why != "" {
		in.drop(l, why)
		return p, false
	}
	return in.options(l, p)
}

// options looks at what follows an address. Most of it is how the address is written down in the kernel, which solevip
// decides itself; another interface is another thing.
func (in *instance) options(l statement, p netip.Prefix) (netip.Prefix, bool) {
	var ignored []string
	for i := 1; i < len(l.words); i++ {
		switch w := l.words[i]; w {
		case "dev":
			if i+1 < len(l.words) && in.iface != "" && l.words[i+1] != in.iface {
				in.drop(l, fmt.Sprintf("it is on %s, not on the interface of the adverts: nobody has this address once keepalived is stopped; give it an instance and a virtual router id of its own",
					l.words[i+1]))
				in.left = append(in.left, strings.Join(l.words, " "))
				return p, false
			}
			i++
		case "brd", "broadcast", "scope", "label", "peer", "preferred_lft":
			i++
			ignored = append(ignored, w)
		default:
			ignored = append(ignored, w)
		}
	}
	if len(ignored) > 0 {
		in.change(l, "the address is carried over without its "+strings.Join(ignored, ", "))
	}
	return p, true
}

// unfit says why an address can't be one that moves between machines; "" when it can.
func unfit(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is not an address that can move between machines"
	case p.Bits() == 0:
		return "its prefix length 0 makes every address a neighbour"
	case p.Bits() < 31 && a == p.Masked().Addr():
		return "is the network itself"
	case p.Bits() < 31 && a == highest(p):
		return "is the broadcast address of its network"
	}
	return ""
}

// highest is the last address of an IPv4 network.
func highest(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

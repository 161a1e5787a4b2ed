package conn

import (
	"net"
	"net/netip"
	"time"
)

// ownEvery is how old the list of our own addresses may get: asking the kernel for each packet
// would cost more than the packet. Run alone reads it, so it has no lock.
const ownEvery = 10 * time.Second

// ownAddresses are the addresses of this machine, virtual ones included.
type ownAddresses struct {
	set map[netip.Addr]bool
	at  time.Time
}

// has reports whether the address is this machine's. Where the kernel doesn't say, the last answer stands.
func (o *ownAddresses) has(ip netip.Addr) bool {
	if now := time.Now(); o.set == nil || now.Sub(o.at) >= ownEvery {
		o.at = now
		if list, err := net.InterfaceAddrs(); err == nil {
			o.set = make(map[netip.Addr]bool, len(list))
			for _, a := range list {
				if ip, ok := addrOf(a); ok {
					o.set[ip] = true
				}
			}
		}
	}
	return o.set[ip]
}

func addrOf(a net.Addr) (netip.Addr, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	return ip.Unmap(), ok
}

// ipv4Addresses are the interface's, in the kernel's order: primary ones first.
func ipv4Addresses(ifi *net.Interface) ([]netip.Addr, error) {
	list, err := ifi.Addrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		if ip, ok := addrOf(a); ok && ip.Is4() {
			out = append(out, ip)
		}
	}
	return out, nil
}

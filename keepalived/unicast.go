package keepalived

import (
	"fmt"
	"net/netip"
	"slices"
)

// findPeers finds out at which address each node sends and receives the adverts of a virtual router. keepalived's
// files name the others, and not always themselves. A peer of whom no file was given becomes a node of its own.
func (c *cluster) findPeers(v *virtual) {
	known := map[string]netip.Addr{}
	var listed []netip.Addr
	for _, node := range v.nodes {
		in := v.at[node]
		v.asked = v.asked || in.unicast
		if in.source.IsValid() && !taken(known, in.source) {
			known[node] = in.source
		}
		for _, p := range in.peers {
			if !slices.Contains(listed, p) {
				listed = append(listed, p)
			}
		}
	}
	if !v.asked {
		return
	}
	for _, node := range v.nodes { // one without a source is whom the others name and nobody else is
		if known[node].IsValid() {
			continue
		}
		if a, ok := only(listed, known, v.at[node].peers); ok {
			known[node] = a
		}
	}
	in := v.first()
	for _, node := range v.nodes {
		if !known[node].IsValid() {
			c.log.add(in.at, Changed, "unicast_peer", in.label()+fmt.Sprintf(
				"the address of %s isn't known, so adverts are multicast: give its unicast_src_ip, or write unicast: true with unicast_addresses", node))
			return
		}
	}
	for _, a := range listed {
		if !taken(known, a) {
			c.stranger(v, a, known)
		}
	}
	v.unicast = known
}

// only is the one address that is listed, belongs to nobody known, and isn't among the node's own peers.
func only(listed []netip.Addr, known map[string]netip.Addr, peers []netip.Addr) (netip.Addr, bool) {
	var found []netip.Addr
	for _, a := range listed {
		if !taken(known, a) && !slices.Contains(peers, a) {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		return netip.Addr{}, false
	}
	return found[0], true
}

func taken(known map[string]netip.Addr, a netip.Addr) bool {
	for _, k := range known {
		if k == a {
			return true
		}
	}
	return false
}

// stranger adds a peer of whom there is no file: the same virtual router at another address.
func (c *cluster) stranger(v *virtual, a netip.Addr, known map[string]netip.Addr) {
	in := v.first()
	name := ""
	for _, p := range c.peers {
		if _, there := known[p]; !there {
			name = p
			break
		}
	}
	if name == "" {
		name = unique(fmt.Sprintf("peer%d", len(c.peers)+1), nodeLength, func(n string) bool { return slices.Contains(c.nodes, n) })
		c.peers, c.nodes = append(c.peers, name), append(c.nodes, name)
	}
	c.log.add(in.at, Changed, "unicast_peer", in.label()+fmt.Sprintf(
		"no file was given of the router at %v: it becomes node %s, with priority 100 and the same interface; rename it, and see that this is right", a, name))
	twin := *in
	twin.priority, twin.left = 100, nil
	v.at[name] = &twin
	v.nodes = append(v.nodes, name)
	known[name] = a
}

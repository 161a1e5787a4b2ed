package keepalived

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// cluster is what the routers are together.
type cluster struct {
	sources []string
	nodes   []string // in the order of the sources, and then peers of whom there was no file
	peers   []string // the latter
	groups  []*group
	routers []*router
	log     *journal
}

// group is one entry of groups.
type group struct {
	name    string
	virtual []*virtual
	own     map[string][]check // of the sync group itself, by node
	checks  []check
	left    []string
}

// virtual is one virtual router, with the instance of each node that runs it.
type virtual struct {
	vrid      int
	at        map[string]*instance // by node
	nodes     []string             // the keys of at, in the order of the cluster's
	addresses []netip.Prefix
	unicast   map[string]netip.Addr // nil: multicast
	asked     bool                  // for unicast, but somebody's address isn't known
	grouped   bool
}

func (v *virtual) first() *instance { return v.at[v.nodes[0]] }

// merge finds the virtual routers that are the same on several nodes, and what moves together.
func merge(routers []*router, log *journal) *cluster {
	c := &cluster{routers: routers, log: log}
	var all []*virtual
	for _, r := range routers {
		c.nodes = append(c.nodes, r.name)
		if !slices.Contains(c.sources, r.source.Path) {
			c.sources = append(c.sources, r.source.Path)
		}
	}
	for _, r := range routers {
		for _, in := range r.instances {
			all = c.join(all, in)
		}
	}
	all = c.withoutConflicts(all)
	for _, v := range all {
		c.findPeers(v)
	}
	c.syncGroups(all)
	for _, v := range all {
		if !v.grouped {
			c.addGroup(v.first().name, []*virtual{v}, nil, nil)
		}
	}
	for _, g := range c.groups {
		c.compare(g)
		g.checks = c.checks(g)
	}
	return c
}

// join adds an instance to the virtual router that it is part of: one with its number that another node has, and an
// address, the name, or else the interface in common.
func (c *cluster) join(all []*virtual, in *instance) []*virtual {
	node := in.router.name
	same := []func(v *virtual) bool{
		func(v *virtual) bool { return slices.ContainsFunc(v.addresses, in.has) },
		func(v *virtual) bool { return v.first().name == in.name },
		func(v *virtual) bool { return v.first().iface == in.iface },
	}
	for _, is := range same {
		for _, v := range all {
			if v.vrid == in.vrid && v.at[node] == nil && is(v) {
				v.add(c, node, in)
				return all
			}
		}
	}
	v := &virtual{vrid: in.vrid, at: map[string]*instance{}}
	v.add(c, node, in)
	return append(all, v)
}

func (in *instance) has(p netip.Prefix) bool {
	return slices.ContainsFunc(in.addresses, func(a address) bool { return a.prefix.Addr() == p.Addr() })
}

func (v *virtual) add(c *cluster, node string, in *instance) {
	missing := 0
	for _, a := range in.addresses {
		known := slices.ContainsFunc(v.addresses, func(p netip.Prefix) bool { return p.Addr() == a.prefix.Addr() })
		switch {
		case !known:
			v.addresses = append(v.addresses, a.prefix)
			missing++
		case len(v.nodes) == 0:
			c.log.add(a.at, Dropped, a.prefix.Addr().String(), in.label()+"is here twice")
		case !slices.Contains(v.addresses, a.prefix):
			c.log.add(a.at, Changed, a.prefix.String(), in.label()+"another node has another prefix length, which is taken for all")
		}
	}
	if len(v.nodes) > 0 && (missing > 0 || len(in.addresses) < len(v.addresses)) {
		c.log.add(in.at, Changed, "virtual_ipaddress", in.label()+"the nodes have different addresses; each gets all of them")
	}
	v.at[node] = in
	v.nodes = append(v.nodes, node)
}

// withoutConflicts leaves out what can't be twice: an address, and a number on an interface.
func (c *cluster) withoutConflicts(all []*virtual) []*virtual {
	owner := map[netip.Addr]*instance{}
	var kept []*virtual
	for _, v := range all {
		in := v.first()
		v.addresses = slices.DeleteFunc(v.addresses, func(p netip.Prefix) bool {
			other := owner[p.Addr()]
			if other == nil {
				owner[p.Addr()] = in
				return false
			}
			c.log.add(in.at, Dropped, p.Addr().String(), in.label()+"the address is in "+other.name+", too; it stays there")
			return true
		})
		if n := len(v.addresses); n > maxAddresses {
			c.log.add(in.at, Dropped, "virtual_ipaddress", in.label()+fmt.Sprintf("an advert holds %d addresses; %d more are left out", maxAddresses, n-maxAddresses))
			v.addresses = v.addresses[:maxAddresses]
		}
		i := slices.IndexFunc(kept, v.meets)
		switch {
		case len(v.addresses) == 0:
			c.log.add(in.at, Dropped, "vrrp_instance", in.label()+"the virtual router is left out: no address is left")
		case i >= 0:
			c.log.add(in.at, Dropped, "vrrp_instance", in.label()+fmt.Sprintf("the virtual router is left out: %s has the number %d on the same interface", kept[i].first().name, v.vrid))
		default:
			kept = append(kept, v)
		}
	}
	return kept
}

const maxAddresses = 255 // RFC 9568 section 5.2.5: the count is one byte

// meets reports whether two virtual routers have the same number on what seems to be the same LAN.
func (v *virtual) meets(o *virtual) bool {
	if v.vrid != o.vrid {
		return false
	}
	common := false
	for node, in := range v.at {
		if other := o.at[node]; other != nil {
			common = true
			if other.iface == in.iface {
				return true
			}
		}
	}
	for _, in := range v.at {
		for _, other := range o.at {
			if !common && in.iface == other.iface {
				return true
			}
		}
	}
	return false
}

// syncGroups makes groups of what moves together. The first router's word counts.
func (c *cluster) syncGroups(all []*virtual) {
	for _, r := range c.routers {
		for _, sg := range r.groups {
			var vs []*virtual
			for _, name := range sg.members {
				i := slices.IndexFunc(all, func(v *virtual) bool { in := v.at[r.name]; return in != nil && in.name == name })
				switch {
				case i < 0:
					c.log.add(sg.at, Dropped, "group", fmt.Sprintf("%s: %s is no virtual router that was carried over", sg.name, name))
				case slices.Contains(vs, all[i]):
				case !all[i].grouped && (len(vs) == 0 || slices.Equal(vs[0].nodes, all[i].nodes)):
					vs = append(vs, all[i])
				case !all[i].grouped:
					c.log.add(sg.at, Changed, "group", fmt.Sprintf("%s: %s runs on other nodes than %s, so it becomes a group of its own", sg.name, name, vs[0].at[r.name].name))
				}
			}
			if len(vs) > 0 {
				c.addGroup(sg.name, vs, c.ownOf(sg, vs[0]), sg.own.left)
			}
		}
	}
}

// ownOf is what the sync groups of a name track themselves, on every node of a virtual router. A peer without a file does as
// the first.
func (c *cluster) ownOf(sg *syncGroup, v *virtual) map[string][]check {
	own := map[string][]check{}
	for _, node := range v.nodes {
		own[node] = sg.own.checks
		for _, r := range c.routers {
			if r.name != node {
				continue
			}
			own[node] = nil
			for _, o := range r.groups {
				if o.name == sg.name {
					own[node] = o.own.checks
				}
			}
		}
	}
	return own
}

func (c *cluster) addGroup(name string, vs []*virtual, own map[string][]check, left []string) {
	g := &group{virtual: vs, own: own, left: slices.Clone(left)}
	g.name = unique(entryName(name, groupLength, "group"), groupLength, func(n string) bool {
		return slices.ContainsFunc(c.groups, func(o *group) bool { return strings.EqualFold(o.name, n) })
	})
	for _, v := range vs {
		v.grouped = true
		for _, node := range v.nodes {
			for _, l := range v.at[node].left {
				if !slices.Contains(g.left, l) {
					g.left = append(g.left, l)
				}
			}
		}
	}
	c.groups = append(c.groups, g)
}

// compare tells where a group has one value, and its instances have several.
func (c *cluster) compare(g *group) {
	lead := g.virtual[0]
	for _, v := range g.virtual {
		for _, node := range v.nodes {
			in, base, same := v.at[node], lead.at[node], v.first()
			if in.priority != base.priority {
				c.log.add(in.at, Changed, "priority", fmt.Sprintf("%spriority %d; the group has one for each node, %d as in %s", in.label(), in.priority, base.priority, base.name))
			}
			if in.nopreempt != lead.first().nopreempt {
				c.log.add(in.at, Changed, "nopreempt", in.label()+"one says nopreempt and another doesn't; the group doesn't preempt")
			}
			if in.version != same.version || in.interval != same.interval || in.pass != same.pass || in.checksum != same.checksum {
				c.log.add(in.at, Changed, "vrrp_instance", fmt.Sprintf("%sversion, advert_int, authentication or checksum differ between the nodes; those of %s are taken", in.label(), same.router.name))
			}
		}
	}
}

// nameRouters gives every router the name of a node: router_id, else the config-id, the host (of a lone file) or the file.
func nameRouters(rs []*router, host string, log *journal) {
	count := map[string]int{}
	for _, r := range rs {
		count[strings.ToLower(r.name)]++
	}
	taken := map[string]bool{}
	for _, r := range rs {
		was, name := r.name, r.name
		if was != "" && count[strings.ToLower(was)] > 1 {
			log.add(r.named, Changed, "router_id", "several routers say that they are "+was+", so they are named otherwise")
			name = ""
		}
		switch {
		case name != "":
		case r.source.ID != "":
			name = r.source.ID
		case len(rs) == 1 && host != "":
			name = host
		default:
			name = fileName(r.source.Path)
		}
		r.name = unique(entryName(name, nodeLength, "node"), nodeLength, func(n string) bool { return taken[strings.ToLower(n)] })
		taken[strings.ToLower(r.name)] = true
		if r.name != was {
			log.add(Place{File: r.source.Path}, Changed, "node", "is named "+r.name+": this must be the host name, or what solevip run --node says")
		}
	}
}

// fileName is what a file says of its router: its name, or that of its directory when it is like any other.
func fileName(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if base == "keepalived" {
		if dir := filepath.Base(filepath.Dir(path)); dir != "." && dir != "/" && dir != "keepalived" {
			return dir
		}
	}
	return base
}

const (
	nodeLength  = 63
	groupLength = 32
)

// entryName makes a name of a text: letters, digits, hyphens and underscores, in nodes' names also dots.
func entryName(s string, length int, otherwise string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.' && length == nodeLength:
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, "._-")
	s = strings.TrimRight(s[:min(len(s), length)], "._-")
	if s == "" {
		return otherwise
	}
	return s
}

// unique numbers a name that is taken.
func unique(name string, length int, taken func(string) bool) string {
	out := name
	for i := 2; taken(out); i++ {
		end := fmt.Sprintf("-%d", i)
		out = name[:min(len(name), length-len(end))] + end
	}
	return out
}

// sortedKeys lists the keys of a mapping by node, in the order of the cluster's nodes.
func (c *cluster) sortedKeys(m map[string]netip.Addr) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return slices.Index(c.nodes, a) - slices.Index(c.nodes, b) })
}

package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func (d *document) checkCluster(c *Config) {
	protected := d.protected(c)
	cl := &c.Cluster
	d.checkNames("cluster.nodes", c.nodeNames(), nodeName,
		"use letters, digits, dots, hyphens and underscores, at most 63, and begin and end with a letter or digit")
	if cl.Name != "" && !nodeName.MatchString(cl.Name) {
		d.wrong("cluster.name", fmt.Sprintf("%q is not a name", cl.Name), "use letters, digits, dots, hyphens and underscores, at most 63")
	}
	if protected && !d.mentions("cluster.name") && d.mentions("cluster") {
		d.wrong("cluster.name", "is missing", "name the cluster, so that a node never joins another one by mistake")
	}
	if d.mentions("cluster.nodes") && len(cl.Nodes) == 0 && !d.anyWrong("cluster.nodes") {
		d.wrong("cluster.nodes", "is empty", "list every node: nodes: {db1: {address: 10.0.0.5}}")
	}
	if len(cl.Nodes) > 0 && len(c.members()) == 0 && len(c.Groups) > 0 {
		d.wrong("cluster.nodes", "every node is an arbiter", "give at least one the role member, which may hold groups")
	}
	for i := range cl.Nodes {
		if cl.Nodes[i].Rejoin == "" {
			cl.Nodes[i].Rejoin = cl.Rejoin
		}
	}
	between := protected && c.Ledger.Backend == backendRaft // the nodes talk to each other
	d.checkArbitersOnly(c)
	d.checkAddresses(c, between)
	d.checkTransport(c, between)
	if between {
		d.checkVoters(len(cl.Nodes))
	}
}

// protected reports whether the ledger is certain to be needed.
func (d *document) protected(c *Config) bool {
	return c.ArbitersOnly() || slices.ContainsFunc(c.Groups, func(g Group) bool {
		return g.Protection != ProtectVRRP && !d.anyWrong("groups."+g.Name+".protection")
	})
}

// anyWrong reports whether something was found at a path or below.
func (d *document) anyWrong(path string) bool {
	for _, p := range d.wrongs {
		if below(p.Key, path) {
			return true
		}
	}
	return false
}

// below reports whether a key is a path or under it.
func below(key, path string) bool {
	return len(key) >= len(path) && key[:len(path)] == path &&
		(len(key) == len(path) || key[len(path)] == '.' || key[len(path)] == '[')
}

// checkAddresses looks at where the nodes are.
func (d *document) checkAddresses(c *Config, needed bool) {
	owner := map[netip.Addr]string{}
	loopbacks := 0
	for _, n := range c.Cluster.Nodes {
		p := "cluster.nodes." + n.Name + ".address"
		a := n.Address
		switch {
		case !a.IsValid() && needed && !d.mentions(p) && !d.anyWrong("cluster.nodes."+n.Name):
			d.wrong(p, "is missing", "write the IP address at which the other nodes reach it")
		case !a.IsValid():
		case a.IsUnspecified() || a.IsMulticast() || a == broadcast:
			d.wrong(p, fmt.Sprintf("%v is not the address of a machine", a), "write the IP address at which the other nodes reach it")
		case owner[a] != "":
			d.wrong(p, fmt.Sprintf("%v is the address of %s, too", a, owner[a]), "give every node its own")
		default:
			owner[a] = n.Name
		}
		if a.IsLoopback() {
			loopbacks++
		}
	}
	for _, n := range c.Cluster.Nodes {
		if n.Address.IsLoopback() && loopbacks < len(owner) {
			d.wrong("cluster.nodes."+n.Name+".address", fmt.Sprintf("%v is a loopback address, which other machines can't reach", n.Address),
				"write an address on their network")
		}
	}
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// checkTransport looks at how the nodes know each other.
func (d *document) checkTransport(c *Config, needed bool) {
	tls := c.Cluster.TLS
	files := []struct{ key, path string }{{"ca", tls.CA}, {"cert", tls.Cert}, {"key", tls.Key}}
	given := d.mentions("cluster.tls")
	shaped := !d.anyWrong("cluster.tls")
	for _, f := range files {
		p := "cluster.tls." + f.key
		if given && shaped && !d.mentions(p) {
			d.wrong(p, "is missing", "write all three: ca, cert and key; solevip cert init and solevip cert issue NODE make the files")
		}
		d.absolute(p, f.path)
		if f.key == "ca" {
			d.placeholders(p, f.path)
		} else {
			d.placeholders(p, f.path, "{node}")
		}
	}
	switch {
	case c.Cluster.Insecure && given:
		d.wrong("cluster.insecure", "turns off the TLS that cluster.tls sets up", "remove one of them; insecure is for trying things out")
	case c.Cluster.Insecure:
		d.checkInsecure(c)
	case !given && needed && d.mentions("cluster") && !d.anyWrong("cluster.insecure"):
		d.wrong("cluster.tls", "is missing",
			"make certificates with solevip cert init and solevip cert issue NODE; to try things out on a private network, write insecure: true")
	}
}

// checkInsecure allows the nodes to believe whoever connects only where few can.
func (d *document) checkInsecure(c *Config) {
	public := false
	for _, n := range c.Cluster.Nodes {
		a := n.Address
		if a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			public = true
			d.wrong("cluster.nodes."+n.Name+".address", fmt.Sprintf("%v is not a private address, and cluster.insecure is true", a),
				"set up cluster.tls: anybody who reaches this port could take groups away")
		}
	}
	if !public {
		d.doubt("cluster.insecure", "the nodes believe whoever connects to their port", "set up cluster.tls before this protects anything")
	}
}

// checkVoters doubts numbers of nodes that survive less than they seem to.
func (d *document) checkVoters(n int) {
	const p = "cluster.nodes"
	switch {
	case n == 1:
		d.doubt(p, "with one node there is nobody to take over", "add nodes: two members and an arbiter are the smallest cluster that survives a loss")
	case n == 2:
		d.doubt(p, "with two nodes the loss of either stops every claim", "add an arbiter: {role: arbiter} on a third machine")
	case n > 7:
		d.doubt(p, fmt.Sprintf("%d nodes all vote, which makes each beat slow", n), "split the cluster: five survive the loss of two")
	case n > 0 && n%2 == 0:
		d.doubt(p, fmt.Sprintf("%d nodes survive no more losses than %d", n, n-1), "add an arbiter, or leave one out")
	}
}

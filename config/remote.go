package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	backendRaft   = "raft"
	backendRemote = "remote"
	arbiterPort   = 7420 // where arbiters listen, unless their file says otherwise
)

// ArbitersOnly reports whether the file describes arbiters that keep the ledger of other clusters:
// every node is one, and there is no group.
func (c Config) ArbitersOnly() bool {
	return len(c.Cluster.Nodes) > 0 && len(c.members()) == 0 && len(c.Groups) == 0
}

// checkRemote looks at which arbiters keep the ledger, and completes their addresses.
func (d *document) checkRemote(c *Config) {
	l := &c.Ledger
	remote := l.Backend == backendRemote
	for _, key := range []string{"arbiters", "tls"} {
		p := "ledger." + key
		if !remote && d.mentions(p) && !d.anyWrong("ledger.backend") {
			d.wrong(p, "is of no use while the ledger is kept by "+l.Backend, "add backend: remote, or remove it")
		}
	}
	if !remote || c.ArbitersOnly() { // told by checkArbitersOnly
		return
	}
	if !d.mentions("ledger.arbiters") {
		d.wrong("ledger.arbiters", "is missing", "list the address of every arbiter: arbiters: [10.0.9.1, 10.0.9.2, 10.0.9.3]")
	}
	for i, a := range l.Arbiters {
		p := fmt.Sprintf("ledger.arbiters[%d]", i)
		full, ok := arbiterAddress(a)
		switch {
		case !ok:
			d.wrong(p, fmt.Sprintf("%q is not an IP address", a), "write an IP address, with :port if it isn't "+strconv.Itoa(arbiterPort))
		case slices.Contains(l.Arbiters[:i], full):
			d.wrong(p, a+" is here twice", "list every arbiter once")
		default:
			l.Arbiters[i] = full
		}
	}
	if n := len(l.Arbiters); d.mentions("ledger.arbiters") && !d.anyWrong("ledger.arbiters") {
		switch {
		case n == 0:
			d.wrong("ledger.arbiters", "is empty", "list the address of every arbiter")
		case n < 3:
			d.doubt("ledger.arbiters", fmt.Sprintf("%d can be reached, so not every loss of an arbiter is survived", n), "list all of them: three or five")
		}
	}
	for _, n := range c.Cluster.Nodes {
		if n.Role == Arbiter {
			d.wrong("cluster.nodes."+n.Name, "is an arbiter, and this cluster's ledger is kept by others", "remove it: the arbiters are those in ledger.arbiters")
		}
	}
	d.checkGuestTLS(l.TLS)
}

// checkGuestTLS looks at how the node is known to the arbiters.
func (d *document) checkGuestTLS(t TLS) {
	const issue = "whoever runs the arbiters makes them with solevip cert issue --cluster CLUSTER NODE"
	if !d.mentions("ledger.tls") {
		d.wrong("ledger.tls", "is missing", "write tls: {ca: ..., cert: ..., key: ...}; "+issue)
		return
	}
	shaped := !d.anyWrong("ledger.tls")
	for _, f := range []struct{ key, path string }{{"ca", t.CA}, {"cert", t.Cert}, {"key", t.Key}} {
		p := "ledger.tls." + f.key
		if !d.mentions(p) && shaped {
			d.wrong(p, "is missing", "write all three: ca, cert and key; "+issue)
		}
		d.absolute(p, f.path)
		if f.key == "ca" {
			d.placeholders(p, f.path)
		} else {
			d.placeholders(p, f.path, "{node}")
		}
	}
}

// arbiterAddress is an address with its port.
func arbiterAddress(text string) (string, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && usable(a) {
		return netip.AddrPortFrom(a, arbiterPort).String(), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil && usable(ap.Addr()) && ap.Port() > 0 {
		return ap.String(), true
	}
	return "", false
}

func usable(a netip.Addr) bool { return !a.IsUnspecified() && !a.IsMulticast() && a != broadcast }

// checkArbitersOnly looks at a file of arbiters that serve other clusters.
func (d *document) checkArbitersOnly(c *Config) {
	if !c.ArbitersOnly() || d.mentions("groups") {
		return
	}
	if c.Ledger.Backend != backendRaft && !d.anyWrong("ledger.backend") {
		d.wrong("ledger.backend", "every node is an arbiter and there is no group, so these nodes keep a ledger themselves", "remove it, or list the groups and the nodes that hold them")
	}
	if c.Cluster.Insecure {
		d.wrong("cluster.insecure", "arbiters that serve other clusters tell them apart by their certificates", "set up cluster.tls; or list this cluster's own groups")
	}
}

// remote makes sure that the node's files for the arbiters are there.
func (r reader) remote(t TLS) {
	r.present("ledger.tls.ca", t.CA)
	if r.node == "" && strings.Contains(t.Cert+t.Key, "{node}") {
		return // whose?
	}
	t = t.For(r.node)
	r.present("ledger.tls.cert", t.Cert)
	r.private("ledger.tls.key", t.Key)
}

package keepalived

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The file is text, so that it can say things between the keys. Lines in which a key follows the # at once are what
// raises a group to protection fence.

func (c *cluster) write() []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for i, s := range c.sources {
		if i == 0 {
			p("# Imported from keepalived: %s", comment(s))
		} else {
			p("# and %s", comment(s))
		}
	}
	p("# The same file goes to every node. See it with: solevip check -c FILE")
	p("#")
	p("# The groups are what they were: VRRP alone, and two nodes can hold an address at once. To raise one to fence,")
	p("# so that this never happens, take the # from the lines below in which a key follows it at once, fill in what")
	p("# they need, and remove the lines that they stand for. Certificates come from solevip cert init and solevip cert issue NODE.")
	p("cluster:")
	p("  #name: %s", quote(c.groups[0].name))
	p(`  #tls: {ca: /etc/solevip/ca.crt, cert: "/etc/solevip/{node}.crt", key: "/etc/solevip/{node}.key"}`)
	p("  nodes:")
	e := c.examples()
	for _, n := range c.nodes {
		p("    %s: {}", quote(n))
		p("    #%s: {address: %v}", quote(n), c.address(n, e))
	}
	if len(c.nodes) == 1 {
		p("    # Only one router was given: add the others, or import all files at once.")
	}
	if len(c.nodes)%2 == 0 {
		p("    #%s: {address: %v, role: arbiter}", unique("arb", nodeLength, func(n string) bool { return slices.Contains(c.nodes, n) }), e.next())
	}
	p("#fencing:")
	for _, n := range c.nodes {
		p("#  %s: {levels: [[{ipmi: {address: %v, username: fence, password_file: /etc/solevip/%s.pass}}]]}", quote(n), e.next(), n)
	}
	p("groups:")
	for _, g := range c.groups {
		c.writeGroup(p, g)
	}
	return b.Bytes()
}

// address is the node's, as far as unicast says, or an example.
func (c *cluster) address(node string, e *examples) netip.Addr {
	for _, g := range c.groups {
		for _, v := range g.virtual {
			if a, ok := v.unicast[node]; ok {
				return a
			}
		}
	}
	return e.next()
}

// examples are addresses to be replaced, which nothing in the file has.
type examples struct {
	used map[netip.Addr]bool
	last netip.Addr
}

func (c *cluster) examples() *examples {
	e := &examples{used: map[netip.Addr]bool{}, last: netip.AddrFrom4([4]byte{198, 51, 100, 0})} // RFC 5737
	for _, g := range c.groups {
		for _, v := range g.virtual {
			for _, p := range v.addresses {
				e.used[p.Addr()] = true
			}
			for _, a := range v.unicast {
				e.used[a] = true
			}
		}
	}
	return e
}

func (e *examples) next() netip.Addr {
	for e.last = e.last.Next(); e.used[e.last]; e.last = e.last.Next() {
	}
	return e.last
}

func (c *cluster) writeGroup(p func(string, ...any), g *group) {
	lead := g.virtual[0]
	in := lead.first()
	p("  %s:", quote(g.name))
	p("    protection: vrrp")
	p("    #protection: fence           # instead of the line above, and without preempt, preempt_delay and weights")
	if len(lead.nodes) < len(c.nodes) {
		p("    members: [%s]", strings.Join(each(lead.nodes, quote), ", "))
	}
	p("    priority: {%s}", strings.Join(each(lead.nodes, func(n string) string { return fmt.Sprintf("%s: %d", quote(n), lead.at[n].priority) }), ", "))
	if !g.nopreempt() {
		p("    preempt: true")
		if d := in.delay.Round(time.Millisecond); d > 0 {
			p("    preempt_delay: %v", d)
		}
	}
	p("    instances:")
	for _, v := range g.virtual {
		c.writeInstance(p, g, v)
	}
	if len(g.checks) > 0 {
		p("    checks:")
	}
	for _, k := range g.checks {
		p("      - name: %s", quote(comment(k.name)))
		p("        %s", k.probe)
		for _, t := range strings.Split(k.timing, ", ") {
			p("        %s", t)
		}
		if k.weight != 0 {
			p("        weight: %d", k.weight)
		}
	}
	if a := in.announce.keys(); a != "" {
		p("    announce: {%s}", a)
	}
	for _, l := range g.left {
		p("    # not carried over: %s", comment(l))
	}
}

// nopreempt: one that doesn't preempt keeps the whole group where it is.
func (g *group) nopreempt() bool {
	for _, v := range g.virtual {
		for _, in := range v.at {
			if in.nopreempt {
				return true
			}
		}
	}
	return false
}

func (c *cluster) writeInstance(p func(string, ...any), g *group, v *virtual) {
	in := v.first()
	p("      - interface: %s", v.interfaces())
	p("        vrid: %d", v.vrid)
	p("        version: %d", in.version)
	p("        advert_interval: %v", in.interval)
	p("        addresses: [%s]", strings.Join(each(v.addresses, netip.Prefix.String), ", "))
	if in.checksum {
		p("        checksum: no-pseudo-header")
	}
	if v.unicast != nil {
		p("        unicast: true")
		p("        unicast_addresses: {%s}", strings.Join(each(c.sortedKeys(v.unicast), func(n string) string { return fmt.Sprintf("%s: %v", quote(n), v.unicast[n]) }), ", "))
	} else if v.asked {
		p("        # keepalived's adverts were unicast: write unicast: true with unicast_addresses for every node")
	}
	if in.pass {
		p("        auth: {password_file: %s}         # write keepalived's auth_pass into it, mode 0600", filepath.Join("/etc/solevip", fmt.Sprintf("%s-%d.vrrp", g.name, v.vrid)))
	}
}

// interfaces is one name, or one for each node.
func (v *virtual) interfaces() string {
	one := v.first().iface
	if !slices.ContainsFunc(v.nodes, func(n string) bool { return v.at[n].iface != one }) {
		return quote(one)
	}
	return "{" + strings.Join(each(v.nodes, func(n string) string { return quote(n) + ": " + quote(v.at[n].iface) }), ", ") + "}"
}

func (a announce) keys() string {
	var keys []string
	if a.repeat != nil {
		keys = append(keys, fmt.Sprintf("repeat: %d", *a.repeat))
	}
	if a.delay != nil {
		keys = append(keys, fmt.Sprintf("delay: %v", a.delay.Round(time.Millisecond)))
	}
	if a.refresh != nil {
		keys = append(keys, fmt.Sprintf("refresh: %v", a.refresh.Round(time.Millisecond)))
	}
	return strings.Join(keys, ", ")
}

func each[T any](list []T, f func(T) string) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// quote writes a name so that YAML takes it for a text.
func quote(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return `"` + s + `"`
	}
	if plain.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// comment makes a text fit for a comment: one line, and not endless.
func comment(s string) string {
	const longest = 300
	if s = clean(s); len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + " ..."
	}
	return s
}

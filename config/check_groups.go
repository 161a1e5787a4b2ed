package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func (d *document) checkGroups(c *Config) {
	names := make([]string, len(c.Groups))
	for i, g := range c.Groups {
		names[i] = g.Name
	}
	d.checkNames("groups", names, groupName, "use letters, digits, hyphens and underscores, at most 32, and begin with a letter or digit")
	if !d.mentions("groups") && (len(c.members()) > 0 || len(c.Cluster.Nodes) == 0) {
		d.wrong("groups", "is missing", "describe at least one group of addresses under groups")
	}
	if d.mentions("groups") && len(names) == 0 && !d.anyWrong("groups") {
		d.wrong("groups", "is empty", "describe at least one group of addresses")
	}
	lan := newLAN(c)
	for i := range c.Groups {
		g := &c.Groups[i]
		p := "groups." + g.Name
		d.checkMembers(c, g, p)
		d.checkPriority(c, g, p)
		d.checkAccept(g, p+".accept")
		d.checkPreempt(g, p)
		if d.mentions(p+".instances") && len(g.Instances) == 0 && !d.anyWrong(p+".instances") {
			d.wrong(p+".instances", "is empty", "write instances: [{interface: eth0, vrid: 50, addresses: [10.0.0.100/24]}]")
		}
		for j := range g.Instances {
			d.checkInstance(c, g, &g.Instances[j], fmt.Sprintf("%s.instances[%d]", p, j))
			lan.add(d, g, &g.Instances[j], fmt.Sprintf("%s.instances[%d]", p, j))
		}
		d.checkHooks(c, g, p+".hooks")
		d.checkChecks(g, p+".checks")
		if g.Protection == ProtectFence && !d.anyWrong(p+".protection") {
			d.checkFenced(c, g, p)
		}
	}
}

// checkMembers finds out who may hold the group.
func (d *document) checkMembers(c *Config, g *Group, path string) {
	p := path + ".members"
	all := c.members()
	if !d.mentions(p) {
		g.Members = all
	}
	for i, m := range g.Members {
		at := fmt.Sprintf("%s[%d]", p, i)
		switch n, _ := c.Node(m); {
		case m == "" || !d.knows(c, at, m):
		case n.Role == Arbiter:
			d.wrong(at, m+" is an arbiter, which never holds a group", "remove it, or give it the role member")
		case slices.Contains(g.Members[:i], m):
			d.wrong(at, m+" is here twice", "remove one")
		}
	}
	switch {
	case d.mentions(p) && len(g.Members) == 0 && !d.anyWrong(p):
		d.wrong(p, "is empty", "list the nodes that may hold the group, or remove the key: then every member may")
	case len(g.Members) == 1 && len(all) > 1:
		d.doubt(p, "only "+g.Members[0]+" may hold the group, so nobody can take over", "list another member")
	}
	g.Members = slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !slices.Contains(g.Members, n) })
}

// checkPriority completes the priorities.
func (d *document) checkPriority(c *Config, g *Group, path string) {
	p := path + ".priority"
	d.checkTable(c, g, p, slices.Sorted(maps.Keys(g.Priority)))
	full := map[string]uint8{}
	for _, m := range g.Members {
		if full[m] = g.Priority[m]; full[m] == 0 {
			full[m] = 100
		}
	}
	g.Priority = full
}

// checkTable looks at the nodes that a mapping has values for.
func (d *document) checkTable(c *Config, g *Group, path string, nodes []string) {
	for _, n := range nodes {
		if p := join(path, n); d.knows(c, p, n) && !g.MayHold(n) {
			d.wrong(p, n+" may not hold the group", "remove it, or make it a member")
		}
	}
}

func (d *document) checkPreempt(g *Group, path string) {
	if g.Preempt && g.Protection != ProtectVRRP {
		d.wrong(path+".preempt", fmt.Sprintf("a group with protection: %s does not preempt: what works is not moved by itself", g.Protection),
			"remove it, and move the group with solevip switchover "+g.Name)
	}
	if g.PreemptDelay > 0 && !g.Preempt {
		d.wrong(path+".preempt_delay", "there is nothing to delay without preempt: true", "remove it")
	}
}

// checkFenced wants a way to cut the power of everybody who may hold a fenced group.
func (d *document) checkFenced(c *Config, g *Group, path string) {
	var bare []string
	for _, m := range g.Members {
		if !d.mentions("fencing."+m) && !d.anyWrong("cluster.nodes."+m+".role") {
			bare = append(bare, m)
		}
	}
	if len(bare) == 0 {
		return
	}
	at := path
	if d.mentions(path + ".protection") {
		at += ".protection"
	}
	who := strings.Join(bare, " and ")
	d.wrong(at, "protection is fence, but nothing says how to fence "+who,
		fmt.Sprintf("add fencing for %s, or write protection: lease to accept that a silent holder's time is up as proof", who))
}

func (d *document) checkHooks(c *Config, g *Group, path string) {
	hooks := []struct {
		name string
		hook *Hook
	}{{"promote", &g.Hooks.Promote}, {"demote", &g.Hooks.Demote}, {"post", &g.Hooks.Post}}
	for _, h := range hooks {
		p := path + "." + h.name
		if !d.absolute(p+".path", h.hook.Path) || h.hook.Path == "" {
			continue
		}
		if strings.HasSuffix(h.hook.Path, "/") || filepath.Clean(h.hook.Path) == "/" {
			d.wrong(p+".path", "is a directory", "write the program's path")
		}
		if h.hook.Timeout == 0 && !d.mentions(p+".timeout") {
			h.hook.Timeout = defaultHookTimeout
			if h.name == "demote" && g.Protection != ProtectVRRP {
				h.hook.Timeout = c.Timing.Slack()
			}
		}
	}
	if g.Protection != ProtectVRRP {
		d.checkDemote(c, g, path)
	}
}

const defaultHookTimeout = 30 * time.Second

// checkDemote keeps a demote within the lease: one that begins when a beat is due, and no beat
// is agreed any more, still ends before the addresses must be down.
func (d *document) checkDemote(c *Config, g *Group, path string) {
	demote, t := g.Hooks.Demote, c.Timing
	if g.Hooks.Promote.Path != "" && !d.mentions(path+".demote") {
		d.doubt(path, "there is a promote hook and no demote hook: what it starts goes on when the group has moved", "add a demote hook that stops it")
	}
	if demote.Timeout <= t.Slack() || t.Slack() <= 0 {
		return
	}
	hint := "shorten it"
	if ttl := ttlFor(demote.Timeout); ttl <= longestTTL {
		hint = fmt.Sprintf("shorten it, or write ledger: {ttl: %v}", ttl)
	}
	d.wrong(path+".demote.timeout", fmt.Sprintf("%v doesn't fit into the lease: ttl %v - beat %v - margin %v = %v",
		demote.Timeout, t.TTL, t.Beat, t.Margin, t.Slack()), hint)
}

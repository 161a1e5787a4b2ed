package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The checks look at decoded values, section by section, and complete the computed ones. What
// has the wrong shape was told before, and its value is the default or zero; they pass over
// zeros, so that one mistake is one problem.
func (d *document) check(c *Config, o Options) {
	d.checkTiming(c)
	d.checkLedger(c)
	d.checkRemote(c)
	d.checkCluster(c)
	d.checkFencing(c)
	d.checkGroups(c)
	if o.Node != "" && len(c.Cluster.Nodes) > 0 {
		if _, ok := c.Node(o.Node); !ok {
			d.wrong("cluster.nodes", fmt.Sprintf("this node is %q, which is not listed", o.Node),
				"add it, or name this node with --node or SOLEVIP_NODE: "+strings.Join(c.nodeNames(), ", "))
			return
		}
	}
	if o.Files != SkipFiles {
		d.readFiles(c, o)
	}
}

// nodeNames lists the nodes, in the order of the file.
func (c Config) nodeNames() []string {
	names := make([]string, len(c.Cluster.Nodes))
	for i, n := range c.Cluster.Nodes {
		names[i] = n.Name
	}
	return names
}

// members lists the nodes that may hold groups.
func (c Config) members() []string {
	var names []string
	for _, n := range c.Cluster.Nodes {
		if n.Role != Arbiter {
			names = append(names, n.Name)
		}
	}
	return names
}

var (
	nodeName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	groupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
)

// checkNames looks at the names of a section's entries.
func (d *document) checkNames(section string, names []string, allowed *regexp.Regexp, hint string) {
	folded := map[string]string{}
	for _, n := range names {
		p := join(section, n)
		if !allowed.MatchString(n) {
			d.wrong(p, fmt.Sprintf("%q is not a name", n), hint)
		}
		if same, ok := folded[strings.ToLower(n)]; ok {
			d.wrong(p, fmt.Sprintf("differs from %s only in upper and lower case", same), "choose another name")
		}
		folded[strings.ToLower(n)] = n
	}
}

// knows reports whether a key or value that should name a node does, and says so if not.
func (d *document) knows(c *Config, path, node string) bool {
	names := c.nodeNames()
	if slices.Contains(names, node) {
		return true
	}
	hint := "add it to cluster.nodes, or remove it here"
	if s, ok := nearest(node, names); ok {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	if len(names) > 0 { // else the missing nodes are the problem
		d.wrong(path, fmt.Sprintf("there is no node %q", node), hint)
	}
	return false
}

// absolute reports whether a path can be used from any working directory. It doesn't repeat the
// path: somebody may have written the secret itself.
func (d *document) absolute(path, file string) bool {
	if file == "" || filepath.IsAbs(file) {
		return true
	}
	d.wrong(path, "is not an absolute path", "write it from / on: the daemon's working directory is not yours")
	return false
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// placeholders refuses the {words} that aren't filled in.
func (d *document) placeholders(path, text string, known ...string) {
	for _, p := range placeholder.FindAllString(text, -1) {
		if !slices.Contains(known, p) {
			d.wrong(path, p+" is not filled in here", "known here: "+or(strings.Join(known, ", "), "none"))
		}
	}
}

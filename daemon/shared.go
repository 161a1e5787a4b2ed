package daemon

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/solevip/solevip/arbiter"
)

// What must be the same on every node travels with each registration, as a text in the ledger, and
// every node compares the others' with its own: so a file that was changed on one node only is seen
// on all of them, whatever keeps the ledger.
//
// The text is small, because the ledger goes to every node with every beat. Its first line says how
// much detail it has; then comes a key and a value per line. Long values are hashes, and in a large
// file each group's keys are folded into one hash, or all groups into one.
const (
	sharedLimit = 2048 // bytes of the text
	sharedValue = 64   // bytes of a value that is not hashed
	sharedShown = 8    // differences that a warning lists
)

// The details of a text, finest first.
var details = []string{"all", "groups", "sum"}

// sharedText is the text for facts: the finest that is short enough.
func sharedText(facts map[string]string) string {
	if len(facts) == 0 {
		return ""
	}
	for _, d := range details {
		if t := sharedAt(facts, d); len(t) <= sharedLimit {
			return t
		}
	}
	return "detail none\n"
}

// sharedAt is the text for facts in a given detail.
func sharedAt(facts map[string]string, detail string) string {
	folded := map[string]*strings.Builder{}
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		into := key
		switch group, in := groupOf(key); {
		case detail == "groups" && in:
			into = group
		case detail == "sum" && in:
			into = "groups"
		}
		if into == key {
			out[key] = short(facts[key])
			continue
		}
		if folded[into] == nil {
			folded[into] = &strings.Builder{}
		}
		fmt.Fprintf(folded[into], "%s %s\n", key, facts[key])
	}
	for into, lines := range folded {
		out[into] = digest(lines.String())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "detail %s\n", detail)
	for _, key := range slices.Sorted(maps.Keys(out)) {
		fmt.Fprintf(&b, "%s %s\n", key, out[key])
	}
	return b.String()
}

// groupOf is groups.NAME of a key groups.NAME.anything.
func groupOf(key string) (string, bool) {
	parts := strings.SplitN(key, ".", 3)
	if len(parts) < 3 || parts[0] != "groups" {
		return "", false
	}
	return parts[0] + "." + parts[1], true
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("#%x", sum[:4])
}

func short(value string) string {
	if len(value) > sharedValue || strings.ContainsAny(value, "\n") {
		return digest(value)
	}
	return value
}

// differences says key by key where another node's text differs from this node's facts.
func differences(facts map[string]string, node, theirs string) []string {
	first, rest, _ := strings.Cut(theirs, "\n")
	detail := strings.TrimPrefix(first, "detail ")
	if !slices.Contains(details, detail) {
		return nil // of another release; the wire tells that
	}
	_, own, _ := strings.Cut(sharedAt(facts, detail), "\n")
	here, there := sharedKeys(own), sharedKeys(rest)
	keys := map[string]bool{}
	for _, m := range []map[string]string{here, there} {
		for key := range m {
			keys[key] = true
		}
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if says := difference(key, node, here, there); says != "" && !slices.Contains(out, says) {
			out = append(out, says)
		}
	}
	return out
}

func difference(key, node string, here, there map[string]string) string {
	mine, isHere := here[key]
	their, isThere := there[key]
	switch {
	case mine == their && isHere == isThere:
		return ""
	case isHere && isThere && (strings.HasPrefix(mine, "#") || strings.HasPrefix(their, "#")):
		return key + " differs"
	case isHere && isThere:
		return fmt.Sprintf("%s is %s here and %s on %s", key, mine, their, node)
	case isHere:
		return fmt.Sprintf("%s is only here", whole(key, there))
	}
	return fmt.Sprintf("%s is only on %s", whole(key, here), node)
}

// whole is the key's group when the other side has nothing of it, else the key.
func whole(key string, other map[string]string) string {
	group, in := groupOf(key)
	if !in {
		return key
	}
	for k := range other {
		if g, _ := groupOf(k); g == group {
			return key
		}
	}
	return group
}

func sharedKeys(lines string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(lines) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out[key] = value
	}
	return out
}

// compared is what a node's text came to, so that it is compared once.
type compared struct {
	text string
	says string
}

// otherFiles warns of nodes that run with another file than this one.
func (d *Daemon) otherFiles() []string {
	var out []string
	for _, n := range d.o.Nodes {
		registered := d.record.Nodes[n.Name]
		if n.Name == d.o.Node || registered.Shared == "" || registered.Fenced {
			continue
		}
		c := d.compared[n.Name]
		if c.text != registered.Shared {
			c = compared{registered.Shared, d.otherFile(n.Name, registered)}
			d.compared[n.Name] = c
		}
		if c.says != "" {
			out = append(out, c.says)
		}
	}
	return out
}

func (d *Daemon) otherFile(node string, n arbiter.Node) string {
	found := differences(d.o.Shared, node, n.Shared)
	if len(found) == 0 {
		return ""
	}
	more := ""
	if extra := len(found) - sharedShown; extra > 0 {
		found, more = found[:sharedShown], fmt.Sprintf("; and %d more", extra)
	}
	return fmt.Sprintf("%s was started with another file than this node: %s%s; use the same file on every node, and restart the daemons one after the other",
		node, strings.Join(found, "; "), more)
}

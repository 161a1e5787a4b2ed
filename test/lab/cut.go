//go:build linux

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Cut is a fault of the switch: frames that come from one port aren't forwarded to another, or
// VRRP is dropped everywhere. The machines' own kernels, and so any rules of a daemon, aren't touched.
type Cut struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	VRRP bool   `json:"vrrp,omitempty"`
}

func (c Cut) String() string {
	if c.VRRP {
		return "VRRP, everywhere"
	}
	return c.From + " -> " + c.To
}

// OneWay stops what one port sends to another.
func OneWay(from, to string) []Cut { return []Cut{{From: from, To: to}} }

// Between stops both directions.
func Between(a, b string) []Cut { return []Cut{{From: a, To: b}, {From: b, To: a}} }

// FromPeers parts a machine from the other machines. Clients and BMCs still reach it, and it them.
func FromPeers(node string) []Cut {
	var cuts []Cut
	for _, n := range Nodes {
		if n.Name != node {
			cuts = append(cuts, Between(node, n.Name)...)
		}
	}
	return cuts
}

// FromAll parts a port from everything.
func FromAll(name string) []Cut {
	var cuts []Cut
	for _, p := range ports() {
		if p.name != name {
			cuts = append(cuts, Between(name, p.name)...)
		}
	}
	return cuts
}

// NoVRRP stops protocol 112 everywhere, as a firewall does that nobody told of it.
func NoVRRP() []Cut { return []Cut{{VRRP: true}} }

// BMCPort is the name of the port of a member's BMC.
func BMCPort(member string) string { return member + bmcSuffix }

// Cuts lists the cuts in force.
func (l *Lab) Cuts() ([]Cut, error) {
	text, err := os.ReadFile(l.path("cuts.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var cuts []Cut
	err = json.Unmarshal(text, &cuts)
	return cuts, err
}

// Cut adds cuts to those in force.
func (l *Lab) Cut(cuts ...Cut) error {
	for _, c := range cuts {
		if err := c.check(); err != nil {
			return err
		}
	}
	return l.changeCuts("cut", cuts, func(old []Cut) []Cut {
		for _, c := range cuts {
			if !slices.Contains(old, c) {
				old = append(old, c)
			}
		}
		return old
	})
}

// Heal ends these cuts; without any, all.
func (l *Lab) Heal(cuts ...Cut) error {
	return l.changeCuts("heal", cuts, func(old []Cut) []Cut {
		if len(cuts) == 0 {
			return nil
		}
		return slices.DeleteFunc(old, func(c Cut) bool { return slices.Contains(cuts, c) })
	})
}

func (c Cut) check() error {
	if c.VRRP {
		return nil
	}
	for _, name := range []string{c.From, c.To} {
		if !slices.ContainsFunc(ports(), func(p port) bool { return p.name == name }) {
			return fmt.Errorf("port %q: the switch has db1, db2, arb, client, db1-bmc and db2-bmc", name)
		}
	}
	return nil
}

func (l *Lab) changeCuts(verb string, cuts []Cut, change func([]Cut) []Cut) error {
	return l.locked(func() error {
		old, err := l.Cuts()
		if err != nil {
			return err
		}
		l.tell("", strings.TrimSpace(verb+" "+Describe(cuts)))
		now := change(old)
		err = inside(l.Namespace("sw"), func() error { return run(ruleset(now), "nft", "-f", "-") })
		if err != nil {
			return fmt.Errorf("cut cables: %w (the kernel needs nf_tables for bridges: module nf_tables_bridge)", err)
		}
		return l.write("cuts.json", now)
	})
}

// Describe says which cuts, merging the two directions of a cut.
func Describe(cuts []Cut) string {
	if len(cuts) == 0 {
		return "everything"
	}
	var words []string
	for _, c := range cuts {
		back := Cut{From: c.To, To: c.From}
		switch both := !c.VRRP && slices.Contains(cuts, back); {
		case both && c.From < c.To:
			words = append(words, c.From+" <-> "+c.To)
		case !both:
			words = append(words, c.String())
		}
	}
	return strings.Join(words, ", ")
}

// ruleset is the switch's whole table, for `nft -f`, which replaces it at one stroke.
func ruleset(cuts []Cut) string {
	var s strings.Builder
	s.WriteString("table bridge lab {}\ndelete table bridge lab\ntable bridge lab {\n")
	s.WriteString("\tchain cuts {\n\t\ttype filter hook forward priority 0; policy accept;\n")
	for _, c := range cuts {
		if c.VRRP {
			s.WriteString("\t\tip protocol 112 drop\n\t\tip6 nexthdr 112 drop\n")
			continue
		}
		fmt.Fprintf(&s, "\t\tiifname %q oifname %q drop\n", c.From, c.To)
	}
	s.WriteString("\t}\n}\n")
	return s.String()
}

package keepalived

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check is one of solevip's health checks, as text.
type check struct {
	name   string
	probe  string // such as tcp: {address: "127.0.0.1:80"}
	timing string // such as interval: 3s, timeout: 3s, rise: 3, fall: 2
	weight int
}

// tracked is a line of track_script and the like: it is resolved when everything has been read.
type tracked struct {
	kind string // script, file, process, interface
	line statement
}

const checksKey = "groups.GROUP.checks"

// track notes what an instance tracks.
func track(kind string) func(*instance, statement) {
	return func(in *instance, s statement) {
		for _, l := range s.body {
			in.tracks = append(in.tracks, tracked{kind, l})
		}
	}
}

// resolve makes checks of what an instance, or a sync group, tracks.
func (in *instance) resolve() {
	for _, t := range in.tracks {
		c, ok := in.check(t)
		if !ok {
			in.left = append(in.left, "track_"+t.kind+" "+strings.Join(t.line.words, " "))
			continue
		}
		if !slices.ContainsFunc(in.checks, func(o check) bool { return o.name == c.name }) {
			in.checks = append(in.checks, c)
		}
	}
}

func (in *instance) check(t tracked) (check, bool) {
	c := check{name: t.line.keyword(), timing: "interval: 1s, rise: 1, fall: 1"}
	if slices.Contains(t.line.words, "reverse") {
		in.drop(t.line, "a tracker that is turned around (reverse) has no counterpart: let a script fail in its place")
		return c, false
	}
	ok := true
	if t.kind == "interface" {
		name := interfaceName(c.name)
		c.name, c.probe = "interface "+name, fmt.Sprintf("interface: {name: %s}", quote(name))
		c.timing = "interval: 200ms, rise: 1, fall: 1"
		ok = name != ""
	} else {
		def, known := in.router.tracked[t.kind+" "+c.name]
		if !known {
			in.drop(t.line, "nothing of this name is defined, so keepalived ignores it, too")
			return c, false
		}
		in.router.used[t.kind+" "+c.name] = true
		ok = in.define(&c, t.kind, def)
	}
	for i, w := range t.line.words {
		if w == "weight" && i+1 < len(t.line.words) {
			c.weight = weightOf(t.line.words[i+1])
		}
	}
	if !ok {
		in.drop(t.line, "see where it is defined: the group stays where it is whatever it would find")
		return c, false
	}
	in.mapped(t.line, checksKey)
	return c, true
}

// weightOf is a weight, within what solevip takes.
func weightOf(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return min(max(n, -253), 253)
}

// define reads a vrrp_script, track_file or vrrp_track_process.
func (in *instance) define(c *check, kind string, def statement) bool {
	r := in.router
	if kind != "script" {
		c.weight = 1
	}
	interval, timeout, rise, fall, least := time.Second, time.Duration(0), 1, 1, 1
	usable := true
	for _, s := range def.body {
		switch k := s.keyword(); k {
		case "script":
			c.probe, usable = r.script(s)
		case "file":
			c.probe = fmt.Sprintf("file: {path: %q}", clean(s.word(0)))
			usable = strings.HasPrefix(s.word(0), "/")
		case "process":
			c.probe = s.word(0)
			if len(s.words) > 2 {
				r.note(s, Changed, "parameters are not compared: every process of this name counts")
			}
		case "interval", "timeout":
			d, ok := seconds(s.word(0))
			if d = min(max(d.Round(time.Millisecond), 100*time.Millisecond), time.Hour); !ok {
				r.note(s, Dropped, fmt.Sprintf("%q is not a number of seconds", s.word(0)))
			} else if k == "interval" {
				interval = d
			} else {
				timeout = d
			}
		case "rise", "fall", "quorum":
			n, err := strconv.Atoi(s.word(0))
			if n = min(max(n, 1), 1000); err != nil {
				r.note(s, Dropped, fmt.Sprintf("%q is not a number", s.word(0)))
			}
			*map[string]*int{"rise": &rise, "fall": &fall, "quorum": &least}[k] = n
		case "weight":
			c.weight = weightOf(s.word(0))
			if s.word(1) == "reverse" {
				r.note(s, Dropped, "a tracker that is turned around (reverse) has no counterpart: let a script fail in its place")
				usable = false
			}
		case "user":
			r.note(s, Changed, noScript)
		case "init_fail":
			r.note(s, Changed, "the first answer of a check decides, and without a weight it is waited for")
		case "init_file":
			r.note(s, Dropped, "the file isn't made; one that isn't there says 0")
		case "quorum_max", "delay", "fork_delay", "terminate_delay", "param_match", "full_command":
			r.note(s, Dropped, "processes are counted once an interval, by their name")
		default:
			r.note(s, Unknown, unknownText)
		}
	}
	if kind == "process" {
		usable = c.probe != ""
		c.probe = fmt.Sprintf("process: {name: %q, least: %d}", clean(c.probe), least)
	}
	if timeout == 0 {
		timeout = interval
	}
	c.timing = fmt.Sprintf("interval: %v, timeout: %v, rise: %d, fall: %d", interval, timeout, rise, fall)
	return usable && c.probe != ""
}

var (
	connects = regexp.MustCompile(`^(?:(?:/usr)?(?:/bin/)?(?:ba)?sh -c )?'?< ?/dev/tcp/([^/\s']+)/([0-9]+)'?$|^(?:/bin/|/usr/bin/)?nc (?:-z[v]? |-zw ?[0-9]+ |-w ?[0-9]+ -z )(\S+) ([0-9]+)$`)
	isAlive  = regexp.MustCompile(`^(?:/usr)?(?:/s?bin/)?(?:killall -0|pidof|pidof -x|pgrep|pgrep -x) ([A-Za-z0-9_.-]+)$`)
	needsSh  = regexp.MustCompile("[|&;<>()$`\"*?#~=%\\\\\\[\\]!{}]")
)

// script makes a probe of a script's command line: of what only connects, or looks for a process, solevip's own.
func (r *router) script(s statement) (string, bool) {
	text := strings.TrimSpace(clean(strings.Join(s.words[1:], " ")))
	if m := connects.FindStringSubmatch(text); m != nil {
		host, port := m[1]+m[3], m[2]+m[4]
		if host == "localhost" {
			host = "127.0.0.1"
		}
		a, err := netip.ParseAddr(host)
		if n, err1 := strconv.ParseUint(port, 10, 16); err == nil && err1 == nil && n > 0 && a.Zone() == "" {
			r.note(s, Changed, "it connects to a port, which a check of the kind tcp does")
			return fmt.Sprintf("tcp: {address: %q}", netip.AddrPortFrom(a, uint16(n))), true
		}
	}
	if m := isAlive.FindStringSubmatch(text); m != nil {
		r.note(s, Changed, "it looks for a process, which a check of the kind process does")
		return fmt.Sprintf("process: {name: %q}", m[1]), true
	}
	words := strings.Fields(text)
	switch {
	case text == "":
		r.note(s, Dropped, "there is no program")
		return "", false
	case strings.HasPrefix(text, "/") && !needsSh.MatchString(text) && !strings.Contains(text, "'"):
		r.note(s, Mapped, checksKey+"[].script")
		return fmt.Sprintf("script: {path: %q%s}", words[0], argsOf(words[1:])), true
	}
	r.note(s, Changed, "it is run by /bin/sh: solevip's checks have no shell and no PATH of their own")
	return fmt.Sprintf("script: {path: /bin/sh, args: [-c, %q]}", text), true
}

func argsOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return ", args: [" + strings.Join(each(args, strconv.Quote), ", ") + "]"
}

// checks are those of a group: what every instance's nodes track alike. A check is the same on every node, so one that
// only some have, or have otherwise, would be a fault where it can't be good.
func (c *cluster) checks(g *group) []check {
	var out []check
	for _, v := range g.virtual {
		for _, node := range v.nodes {
			in := v.at[node]
			for _, k := range append(slices.Clone(in.checks), g.own[node]...) {
				switch {
				case slices.ContainsFunc(out, func(o check) bool { return o.name == k.name }):
				case !v.alike(k, g):
					c.log.add(in.at, Dropped, k.name, in.label()+"the nodes don't track it alike, and a check is the same on every node")
					g.left = append(g.left, node+" tracks "+k.name+", "+k.probe)
				case len(g.virtual) > 1 && k.weight != 0 && !slices.Contains(g.own[node], k):
					c.log.add(in.at, Dropped, k.name, in.label()+"keepalived ignores weights of a sync group's members")
				case len(out) >= maxChecks:
					c.log.add(in.at, Dropped, k.name, in.label()+fmt.Sprintf("a group has at most %d checks", maxChecks))
				default:
					out = append(out, k)
				}
			}
		}
	}
	return out
}

const maxChecks = 64

// alike reports whether every node of a virtual router has a check.
func (v *virtual) alike(k check, g *group) bool {
	return !slices.ContainsFunc(v.nodes, func(n string) bool {
		return !slices.Contains(v.at[n].checks, k) && !slices.Contains(g.own[n], k)
	})
}

package arbiter

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the scenarios come to into their files")

// A scenario is a text: lines with ">" are commands, and below each is what it changed. Lines
// with "#" are for the reader. A command is a verb and key=value pairs; what it quotes is the
// ledger as it is now, unless seen=NAME names a moment kept by "> remember NAME".
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scenarios: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, have := strings.Split(string(text), "\n"), strings.Split(got, "\n")
			for i := range min(len(want), len(have)) {
				if want[i] != have[i] {
					t.Fatalf("%s:%d:\n got %q\nwant %q", file, i+1, have[i], want[i])
				}
			}
			if len(want) != len(have) {
				t.Fatalf("%s has %d lines, the scenario comes to %d", file, len(want), len(have))
			}
		})
	}
}

// play runs a scenario's commands and writes the scenario anew.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	r, moments := Record{}, map[string]Record{}
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		order, isCommand := strings.CutPrefix(line, "> ")
		if !isCommand {
			if line == "" || strings.HasPrefix(line, "#") {
				fmt.Fprintln(&out, line)
			}
			continue // what it came to last time
		}
		fmt.Fprintln(&out, line)
		if name, ok := strings.CutPrefix(order, "remember "); ok {
			moments[name] = r
			continue
		}
		cmd, err := parseOrder(order, r, moments)
		if err != nil {
			t.Fatalf("line %d: %q: %v", n+1, line, err)
		}
		next, err := Apply(r, cmd)
		if err != nil {
			fmt.Fprintf(&out, "  refused %v\n", err)
			continue
		}
		writeChange(&out, r, next)
		r = next
	}
	return out.String()
}

// order is a parsed line: its pairs, the ledger now, and the ledger that it quotes.
type order struct {
	pairs map[string]string
	now   Record
	seen  Record
	err   error
}

func parseOrder(line string, now Record, moments map[string]Record) (Command, error) {
	words := strings.Fields(line)
	o := &order{pairs: map[string]string{}, now: now, seen: now}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		o.pairs[k] = strings.ReplaceAll(v, "_", " ")
	}
	if name, quoted := o.pairs["seen"]; quoted {
		var known bool
		if o.seen, known = moments[name]; !known {
			return nil, fmt.Errorf("no moment %q is remembered", name)
		}
	}
	c, known := o.commands()[words[0]]
	if !known {
		return nil, fmt.Errorf("unknown verb %q", words[0])
	}
	return c(), o.err
}

func (o *order) commands() map[string]func() Command {
	p := o.pairs
	return map[string]func() Command{
		"register": func() Command {
			b := o.boot("boot")
			return Register{Boot: b, Seen: o.seen.Nodes[b.Node].Beat, Manual: p["rejoin"] == "manual"}
		},
		"beat": func() Command { return Beat{Boot: o.boot("boot")} },
		"take": func() Command {
			return Take{Group: p["group"], Boot: o.boot("boot"), Protection: Protection(cmp.Or(p["protection"], "fence")), Accept: Accept(p["accept"]), Seen: See(o.seen, p["group"])}
		},
		"release": func() Command {
			_, dirty := p["dirty"]
			return Release{Group: p["group"], Boot: o.boot("boot"), Epoch: o.epoch(), Dirty: dirty}
		},
		"clear": func() Command {
			return Clear{Group: p["group"], Boot: o.boot("boot"), Epoch: o.epoch(), Suspect: o.boot("suspect"), Evidence: Evidence(p["evidence"]), Method: p["method"]}
		},
		"intent": func() Command {
			c := Intent{Group: p["group"], Boot: o.boot("boot"), Epoch: o.epoch(), Suspect: o.boot("suspect")}
			if _, rival := p["rival"]; rival {
				b := o.boot("rival")
				c.Rival = Rival{Boot: b, Beat: o.seen.Nodes[b.Node].Beat}
			}
			return c
		},
		"report": func() Command {
			return Report{Boot: o.boot("boot"), Target: o.boot("target"), Outcome: p["outcome"], Method: p["method"], Detail: p["detail"]}
		},
		"attest": func() Command {
			b := o.boot("target")
			return Attest{Node: p["node"], Target: b, Seen: o.seen.Nodes[b.Node].Beat, Operator: p["operator"], Reason: p["reason"]}
		},
		"order": func() Command {
			b := o.boot("target")
			_, force := p["force"]
			return Order{Boot: o.boot("boot"), Target: b, Seen: o.seen.Nodes[b.Node].Beat, Force: force, Operator: p["operator"], Reason: p["reason"]}
		},
		"maintenance": func() Command {
			length, err := time.ParseDuration(cmp.Or(p["for"], "0s"))
			o.err = errors.Join(o.err, err)
			return Maintain{Node: p["node"], On: p["on"] == "yes", Seen: o.seen.Maintenance.Serial, ForMS: length.Milliseconds(), Operator: p["operator"], Reason: p["reason"]}
		},
		"unfence": func() Command { return Unfence{Node: p["node"], Target: o.boot("target"), Operator: p["operator"]} },
		"identify": func() Command {
			return Identify{Node: p["node"], Target: p["target"], Device: p["device"], Identity: p["identity"], Was: p["was"], Operator: p["operator"]}
		},
		"move": func() Command { return Move{Node: p["node"], Group: p["group"], Epoch: o.epoch(), To: p["to"]} },
	}
}

// boot reads node/kernel.incarnation, or a node alone for its registered boot.
func (o *order) boot(key string) Boot {
	text := o.pairs[key]
	node, life, full := strings.Cut(text, "/")
	if !full {
		return o.now.Nodes[node].Boot
	}
	kernel, incarnation, _ := strings.Cut(life, ".")
	return Boot{Node: node, Kernel: kernel, Incarnation: incarnation}
}

func (o *order) epoch() uint64 {
	text, given := o.pairs["epoch"]
	if !given {
		return o.now.Groups[o.pairs["group"]].Epoch
	}
	e, err := strconv.ParseUint(text, 10, 64)
	o.err = errors.Join(o.err, err)
	return e
}

// writeChange writes the lines of the ledger that went and that came.
func writeChange(out *strings.Builder, before, after Record) {
	was, is := lines(before), lines(after)
	for _, l := range was {
		if !slices.Contains(is, l) {
			fmt.Fprintln(out, "  -", l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			fmt.Fprintln(out, "  +", l)
		}
	}
}

// lines is a ledger as text.
func lines(r Record) []string {
	var out []string
	add := func(head string, facts ...string) {
		for i := 0; i < len(facts); i += 2 {
			if facts[i+1] != "" && facts[i+1] != "nobody" {
				head += " " + facts[i] + "=" + facts[i+1]
			}
		}
		out = append(out, head)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
		n := r.Nodes[name]
		fenced, barred := "", ""
		if n.Fenced {
			fenced = "yes"
		}
		if n.Barred {
			barred = "yes"
		}
		add("node "+name, "boot", n.Boot.String(), "beat", fmt.Sprint(n.Beat), "fenced", fenced, "barred", barred)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Groups)) {
		g := r.Groups[name]
		add("group "+name, "epoch", fmt.Sprint(g.Epoch), "holder", g.Holder.String(), "suspect", g.Suspect.String(),
			"protection", string(g.Protection), "accept", string(g.Accept), "previous", g.Previous, "evidence", string(g.Evidence), "next", g.Next)
	}
	for _, node := range slices.Sorted(maps.Keys(r.Devices)) {
		for _, device := range slices.Sorted(maps.Keys(r.Devices[node])) {
			d := r.Devices[node][device]
			add("device of "+node+": "+device, "identity", d.Identity, "operator", d.Operator, "by", d.By)
		}
	}
	if m := r.Maintenance; m.Serial > 0 {
		add("maintenance", "serial", fmt.Sprint(m.Serial), "on", fmt.Sprint(m.On), "for", m.For().String(), "operator", m.Operator, "reason", m.Reason)
	}
	for _, f := range r.Fences {
		add("fence "+f.Target.String(), "by", f.By.String(), "group", f.Group, "state", string(f.State), "method", f.Method,
			"outcome", f.Outcome, "evidence", string(f.Evidence), "detail", f.Detail, "operator", f.Operator, "reason", f.Reason)
	}
	return out
}

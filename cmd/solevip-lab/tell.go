//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// width of everything that the demo prints.
const width = 100

func (d *demo) intro() {
	fmt.Fprint(d.out, `solevip: two servers, db1 and db2, share the address 10.77.0.50; a third machine, arb, only votes.
They run in network namespaces on this machine, on a switch of their own, and db1 and db2 have
simulated BMCs that cut their power. A client asks the address every 2 ms. A judge that shares no
code with solevip asks each server, at its own MAC address, whether it answers for it too.

`)
}

// before says what is about to happen, for somebody who has never seen it.
var before = map[string]string{
	lab.Crash.Name:        "The plug of the holder is pulled. The other must prove it dead before it takes the address.",
	lab.SwitchedOver.Name: "An operator moves the address: `solevip switchover db`.",
	lab.Stopped.Name:      "The holder's daemon is stopped, as an upgrade does. It hands over.",
	lab.Killed.Name:       "The holder's daemon is killed; its machine lives, and its kernel still has the address.",
	lab.Frozen.Name:       "The holder's daemon stops in its tracks, as a machine that swaps does.",
	lab.Firewalled.Name:   "A firewall drops VRRP everywhere. Both servers are healthy.",
}

func (d *demo) chapter(number int, f lab.Fault) {
	fmt.Fprintf(d.out, "\n%d. %s\n   %s\n\n", number, strings.ToUpper(f.Name[:1])+f.Name[1:], before[f.Name])
}

// story prints what happened, in order, and what it comes to.
func (d *demo) story(ctx context.Context, l *lab.Lab, r lab.Result) {
	events, err := l.Timeline(r.Report)
	if err != nil {
		fmt.Fprintln(d.out, "   no timeline:", err)
	}
	for _, e := range events {
		if text := plain(e); text != "" {
			d.wrap(fmt.Sprintf("   %+8.3f s  %-6s ", e.At.Sub(r.From).Seconds(), e.Who), text)
		}
	}
	fmt.Fprintln(d.out)
	moved := fmt.Sprintf("moved from %s to %s", r.Holder, r.Heir)
	if r.Heir == r.Holder {
		moved = "stayed on " + r.Holder
	}
	if s, err := l.Status(ctx, r.Heir); err == nil {
		g := lab.GroupOf(s)
		moved += fmt.Sprintf(", epoch %d", g.Epoch)
		if r.Heir != r.Holder {
			moved += fmt.Sprintf("; %s is harmless: %s", r.Holder, g.Evidence)
		}
		if f := s.Fences; len(f) > 0 && r.Heir != r.Holder && f[0].Epoch == g.Epoch {
			moved += fmt.Sprintf(" (fenced by %s, %s: %s)", f[0].By, f[0].Method, f[0].Outcome)
		}
	}
	d.fact("address", moved)
	d.fact("client", lab.Milliseconds(r.Outage.Length())+" without an answer")
	d.fact("judge", lab.Milliseconds(r.TwoHolders)+" with two holders")
	if r.Stall > 20*time.Millisecond {
		d.fact("note", "this machine was busy: the asking itself paused for up to "+lab.Milliseconds(r.Stall))
	}
}

func (d *demo) fact(name, text string) { d.wrap(fmt.Sprintf("   => %-8s ", name), text) }

// wrap prints a text behind its heading, and goes on below it where the line is full.
func (d *demo) wrap(heading, text string) {
	line := heading
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && len(line)+len(word) > width {
			fmt.Fprintln(d.out, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", len(heading))
		}
		line += word + " "
		empty = false
	}
	fmt.Fprintln(d.out, strings.TrimRight(line, " "))
}

// table compares, row by row, what was played.
func (d *demo) table() {
	fmt.Fprintf(d.out, "\nIn short\n\n   %-26s %-28s %s\n", "", fmt.Sprintf("solevip, ttl %v", d.flags.ttl),
		fmt.Sprintf("keepalived, advert %v", d.flags.advert))
	fmt.Fprintf(d.out, "   %-26s %13s %13s  %13s %13s\n", "", "client outage", "two holders", "client outage", "two holders")
	for _, f := range faults {
		fmt.Fprintf(d.out, "   %-26s %s  %s\n", f.Name, cells(d.ours, f), cells(d.theirs, f))
	}
	if len(d.theirs) > 0 {
		fmt.Fprintf(d.out, "\n   Where keepalived had two holders, it had them until the fault was mended, %v after it began.\n", watch)
	}
	if d.sizes.binary > 0 {
		fmt.Fprintf(d.out, "   solevip's binary has %.1f MB; on the holder it used %.1f MB of memory.\n",
			float64(d.sizes.binary)/1e6, float64(d.sizes.memory)/1e6)
	}
}

func cells(results []lab.Result, f lab.Fault) string {
	for _, r := range results {
		if r.Fault.Name == f.Name {
			return fmt.Sprintf("%13s %13s", lab.Milliseconds(r.Outage.Length()), lab.Milliseconds(r.TwoHolders))
		}
	}
	return fmt.Sprintf("%13s %13s", "-", "-")
}

// lastWords help to find out why a scene failed: its files are about to go.
func (d *demo) lastWords(l *lab.Lab) {
	for _, n := range lab.Nodes {
		text, err := os.ReadFile(l.Log(n.Name))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		lines = lines[max(0, len(lines)-20):]
		fmt.Fprintf(os.Stderr, "the end of %s's log:\n%s\n", n.Name, strings.Join(lines, "\n"))
	}
}

package vrrp

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "record the scenarios' output anew")

// TestScenarios runs the files of testdata. Lines that begin with a tab are output, and are compared; the
// others are input:
//
//	config KEY=VALUE...     the machine's Config; "obliging" plays the shell of an unprotected group, which
//	                        grants each Want and releases at each Unwant at once
//	TIME started | stopped | granted | revoked | revoked and released | ticked | reprioritised N
//	TIME hear FROM KEY=VALUE...   an advert as we would send it, but for the values given
//	until TIME              deliver Ticked whenever the machine asks for it
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			was, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(was))
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(was), got); d != "" {
				t.Errorf("%s (-file +machine; go test ./vrrp -rewrite records it anew):\n%s", f, d)
			}
		})
	}
}

// player runs one scenario.
type player struct {
	m        *Machine
	obliging bool
	now      time.Duration
	out      strings.Builder
}

func play(text string) (string, error) {
	var p player
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.HasPrefix(line, "\t") {
			continue
		}
		fmt.Fprintln(&p.out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.input(strings.Fields(line)); err != nil {
			return "", fmt.Errorf("line %d: %q: %w", n, line, err)
		}
	}
	return p.out.String(), lines.Err()
}

func (p *player) input(words []string) error {
	if words[0] == "config" {
		p.obliging = false
		c := Config{VRID: 50, Priority: 100, Address: bob, Addresses: addrs("198.51.100.10")}
		err := settings(words[1:], func(key, value string) error { return p.configure(&c, key, value) })
		if err == nil {
			err = c.Check()
		}
		if err == nil {
			p.m, p.now = NewMachine(c), 0
		}
		return err
	}
	if words[0] == "until" && len(words) == 2 {
		return p.until(words[1])
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	if at < p.now {
		return fmt.Errorf("time runs backwards, it is %v", p.now)
	}
	e, err := p.event(words[1:])
	if err != nil {
		return err
	}
	p.now = at
	p.step(e, "\t")
	return nil
}

func (p *player) until(word string) error {
	end, err := time.ParseDuration(word)
	if err != nil {
		return err
	}
	for {
		at, ok := p.m.Wake()
		if !ok || at > end {
			p.now = end
			return nil
		}
		p.now = at
		fmt.Fprintf(&p.out, "\t%v ticked\n", at)
		p.step(Ticked{}, "\t\t")
	}
}

func (p *player) step(e Event, indent string) {
	for _, a := range p.m.Step(p.now, e) {
		fmt.Fprintf(&p.out, "%s%v\n", indent, a)
		switch a.(type) {
		case Want:
			p.oblige(Granted{}, indent)
		case Unwant:
			p.oblige(Revoked{Yield: true}, indent)
		}
	}
	fmt.Fprintf(&p.out, "%s%v (%s)", indent, p.m.State(), p.m.Why())
	if at, ok := p.m.Wake(); ok {
		fmt.Fprintf(&p.out, ", wake at %v", at)
	}
	fmt.Fprintln(&p.out)
}

func (p *player) oblige(e Event, indent string) {
	if p.obliging {
		fmt.Fprintf(&p.out, "%sso %v\n", indent, e)
		p.step(e, indent+"\t")
	}
}

func (p *player) event(words []string) (Event, error) {
	switch strings.Join(words, " ") {
	case "started":
		return Started{}, nil
	case "stopped":
		return Stopped{}, nil
	case "granted":
		return Granted{}, nil
	case "revoked":
		return Revoked{}, nil
	case "revoked and released":
		return Revoked{Yield: true}, nil
	case "ticked":
		return Ticked{}, nil
	}
	if len(words) >= 2 && words[0] == "reprioritised" {
		n, err := strconv.ParseUint(words[1], 10, 8)
		return Reprioritised{uint8(n)}, err
	}
	if len(words) < 2 || words[0] != "hear" {
		return nil, fmt.Errorf("unknown event")
	}
	from, err := netip.ParseAddr(words[1])
	if err != nil {
		return nil, err
	}
	a := p.m.Advert(p.m.Priority())
	err = settings(words[2:], func(key, value string) error { return advertise(&a, key, value) })
	return Heard{Advert: a, From: from}, err
}

// settings splits KEY=VALUE words; a word alone is a key that is true.
func settings(words []string, set func(key, value string) error) error {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if err := set(key, value); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func (p *player) configure(c *Config, key, value string) (err error) {
	switch key {
	case "obliging":
		p.obliging = true
	case "protected":
		c.Protected = true
	case "preempt":
		c.Preempt = true
	case "delay":
		c.PreemptDelay, err = time.ParseDuration(value)
	case "down":
		c.DownTimerAdverts, err = strconv.Atoi(value)
	case "address":
		c.Address, err = netip.ParseAddr(value)
	default:
		a := Advert{Version: c.Version, VRID: c.VRID, Priority: c.Priority, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth}
		err = advertise(&a, key, value)
		c.Version, c.VRID, c.Priority, c.Interval, c.Addresses, c.Auth = a.Version, a.VRID, a.Priority, a.Interval, a.Addresses, a.Auth
	}
	return err
}

func advertise(a *Advert, key, value string) error {
	number := func(to *uint8) error {
		n, err := strconv.ParseUint(value, 10, 8)
		*to = uint8(n)
		return err
	}
	switch key {
	case "vrid":
		return number(&a.VRID)
	case "priority":
		return number(&a.Priority)
	case "version":
		return number((*uint8)(&a.Version))
	case "password":
		a.Auth = Pass(value)
		return nil
	case "interval":
		d, err := time.ParseDuration(value)
		a.Interval = d
		return err
	case "addresses":
		a.Addresses = nil
		for s := range strings.SplitSeq(value, ",") {
			ip, err := netip.ParseAddr(s)
			if err != nil {
				return err
			}
			a.Addresses = append(a.Addresses, ip)
		}
		return nil
	}
	return fmt.Errorf("unknown key")
}

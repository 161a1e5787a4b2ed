package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parse reads a file that must be right.
func parse(t *testing.T, text string) Config {
	t.Helper()
	c, err := Parse("c.yaml", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheExampleIsRight(t *testing.T) {
	c := parse(t, string(Example))
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", Errors(c.Warnings))
	}
	g, ok := c.Group("mysql")
	if !ok || !g.MayHold("db1") || !g.MayHold("db2") || g.MayHold("arb") || !c.Protected() {
		t.Errorf("group %+v", g)
	}
	if n, ok := c.Node("arb"); !ok || n.Role != Arbiter {
		t.Errorf("node arb: %+v", n)
	}
	if _, ok := c.Node("db3"); ok {
		t.Error("there is a node db3")
	}
	if f, ok := c.FencingOf("db1"); !ok || len(f.Levels) != 2 {
		t.Errorf("fencing of db1: %+v", f)
	}
	if got := c.Cluster.TLS.For("db1").Key; got != "/etc/solevip/db1.key" {
		t.Errorf("key of db1: %s", got)
	}
}

func TestTimingFollowsFromTheTTL(t *testing.T) {
	const ms = time.Millisecond
	for ttl, want := range map[string]Timing{
		"3s":    {TTL: 3000 * ms, Margin: 100 * ms, Beat: 750 * ms, Heartbeat: 500 * ms, Takeover: 3130 * ms},
		"1.5s":  {TTL: 1500 * ms, Margin: 75 * ms, Beat: 375 * ms, Heartbeat: 200 * ms, Takeover: 1590 * ms},
		"600ms": {TTL: 600 * ms, Margin: 60 * ms, Beat: 150 * ms, Heartbeat: 50 * ms, Takeover: 666 * ms},
		"60s":   {TTL: 60000 * ms, Margin: 1050 * ms, Beat: 15000 * ms, Heartbeat: 500 * ms, Takeover: 61650 * ms},
	} {
		c := parse(t, strings.Replace(string(Example), "ttl: 3s", "ttl: "+ttl, 1))
		if diff := cmp.Diff(want, c.Timing); diff != "" {
			t.Errorf("ttl %s (-want +got):\n%s", ttl, diff)
		}
	}
}

// TestEveryTTLLeavesRoomForAnElection holds the default margin to the rule that a written one
// must obey.
func TestEveryTTLLeavesRoomForAnElection(t *testing.T) {
	for ttl := 600 * time.Millisecond; ttl <= longestTTL; ttl += time.Millisecond {
		got := timingOf(ttl, defaultMargin(ttl))
		if got.Heartbeat < shortHeartbeat || got.Slack() < electionTakes*got.Heartbeat {
			t.Fatalf("ttl %v: %+v leaves %v", ttl, got, got.Slack())
		}
	}
}

// TestTheRemedyWorks takes the program at its word: the ttl that it says a demote hook needs is
// enough, and a tenth of a second less is not.
func TestTheRemedyWorks(t *testing.T) {
	for _, timeout := range []string{"2.2s", "10s", "30s"} {
		hook := "demote: {path: /etc/solevip/demote.sh, timeout: " + timeout + "}"
		text := strings.Replace(string(Example), "demote: /etc/solevip/demote.sh", hook, 1)
		_, err := Parse("c.yaml", []byte(text), Options{})
		if err == nil {
			t.Fatalf("a demote of %s is accepted", timeout)
		}
		_, rest, _ := strings.Cut(err.Error(), "{ttl: ")
		remedy, _, _ := strings.Cut(rest, "}")
		ttl, err := time.ParseDuration(remedy)
		if err != nil {
			t.Fatalf("no remedy in %q", err)
		}
		parse(t, strings.Replace(text, "ttl: 3s", "ttl: "+remedy, 1))
		less := strings.Replace(text, "ttl: 3s", "ttl: "+(ttl-100*time.Millisecond).String(), 1)
		if _, err := Parse("c.yaml", []byte(less), Options{}); err == nil {
			t.Errorf("a demote of %s fits into less than %s", timeout, remedy)
		}
	}
}

// TestNamesKeepTheirCase is about viper, which lower-cases the keys of mappings.
func TestNamesKeepTheirCase(t *testing.T) {
	text := strings.NewReplacer("db1", "DB-One", "mysql", "MySQL").Replace(string(Example))
	c := parse(t, text)
	if c.Cluster.Nodes[0].Name != "DB-One" || c.Groups[0].Name != "MySQL" || c.Fencing[0].Node != "DB-One" ||
		c.Groups[0].Priority["DB-One"] != 200 || c.Groups[0].Instances[0].Interface["DB-One"] != "eth0" {
		t.Errorf("names: %+v", c)
	}
}

// TestDottedNamesAreNames is about viper, too, which splits keys at dots.
func TestDottedNamesAreNames(t *testing.T) {
	c := parse(t, strings.ReplaceAll(string(Example), "db1", "db1.example.net"))
	if c.Cluster.Nodes[0].Name != "db1.example.net" || c.Groups[0].Priority["db1.example.net"] != 200 {
		t.Errorf("names: %+v", c)
	}
}

func TestErrorsAreInTheOrderOfTheFile(t *testing.T) {
	b, err := os.ReadFile("testdata/files/everything-wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("c.yaml", b, Options{})
	var wrong Errors
	if !errors.As(err, &wrong) || len(wrong) < 20 {
		t.Fatalf("errors: %v", err)
	}
	for i := range wrong[1:] {
		a, b := wrong[i], wrong[i+1]
		if a.Line > b.Line || a.Line == b.Line && a.Column > b.Column {
			t.Errorf("%v comes before %v", a, b)
		}
	}
}

// FuzzParse reads anything: it must not panic, and what it says about a file has a place and a
// remedy. A file that is right stays right, and yields the same, when it is read again.
func FuzzParse(f *testing.F) {
	f.Add(Example)
	files, _ := filepath.Glob("testdata/files/*.yaml")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{"a: &a [*a]", "{}", "cluster: {nodes: {a: }}", "? [a]\n: b", "groups: {\"\": {}}",
		"groups: {x: {instances: [{interface: {}, vrid: 1, addresses: [~]}]}}", "fencing: {a: {levels: [[~, {ipmi: {ciphers: [x, ~]}}]]}}",
		"groups: {a: {members: [~, {}], priority: {\"*\": 1}}}", "ledger: {ttl: 60s, margin: 9s}", "%YAML 1.1\n---\na: !!binary x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("c.yaml", b, Options{})
		var wrong Errors
		switch {
		case err == nil:
			again, err := Parse("c.yaml", b, Options{})
			if diff := cmp.Diff(c, again, plain); diff != "" || err != nil {
				t.Errorf("read again: %v\n%s", err, diff)
			}
			sound(t, c)
		case !errors.As(err, &wrong) || len(wrong) == 0:
			t.Fatalf("an error without a place: %v", err)
		}
		for _, p := range append(wrong, c.Warnings...) {
			if p.File != "c.yaml" || p.Line < 1 || p.What == "" || p.Hint == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("problem %+v", p)
			}
		}
	})
}

// sound checks what the rest of the program relies on.
func sound(t *testing.T, c Config) {
	t.Helper()
	if len(c.Groups) == 0 && !c.ArbitersOnly() || c.Timing.Slack() < electionTakes*c.Timing.Heartbeat {
		t.Errorf("config %+v", c)
	}
	for _, g := range c.Groups {
		if len(g.Members) == 0 || len(g.Instances) == 0 || len(g.Priority) != len(g.Members) {
			t.Errorf("group %+v", g)
		}
		for _, in := range g.Instances {
			if in.VRID == 0 || len(in.Addresses) == 0 || len(in.Interface) != len(g.Members) {
				t.Errorf("instance %+v", in)
			}
		}
		for _, m := range g.Members {
			if f, ok := c.FencingOf(m); g.Protection == ProtectFence && (!ok || len(f.Levels) == 0) {
				t.Errorf("%s can't be fenced", m)
			}
			if n, _ := c.Node(m); g.Protection != ProtectVRRP && c.Ledger.Backend == backendRaft && !n.Address.IsValid() {
				t.Errorf("%s has no address", m)
			}
		}
	}
}

// plain compares addresses by value, and passes over secrets, which a Config that was only
// parsed doesn't have.
var plain = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() }),
}

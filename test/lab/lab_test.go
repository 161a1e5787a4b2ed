//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// keepalivedLab is a pair under keepalived, observed, with db1 in charge.
func keepalivedLab(t *testing.T) (*Lab, *Observer) {
	t.Helper()
	if err := Available(Keepalived); err != nil {
		t.Skip(err)
	}
	l, err := Create(t.Context(), Options{
		Name: fmt.Sprintf("k%d", os.Getpid()), Dir: t.TempDir() + "/lab", Program: Keepalived, Advert: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Destroy(); err != nil {
			t.Error(err)
		}
		if parts, _ := namespacesOf(l.Name); len(parts) > 0 {
			t.Errorf("namespaces left: %v", parts)
		}
	})
	o, err := l.Observe(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Up(); err != nil {
		t.Fatal(err)
	}
	await(t, o, "db1", "db1")
	return l, o
}

// await waits until exactly these machines answer.
func await(t *testing.T, o *Observer, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := o.Await(ctx, func(holders []string) bool { return fmt.Sprint(holders) == fmt.Sprint(unique(want)) })
	if err != nil {
		t.Fatalf("want %v: %v", unique(want), err)
	}
}

func unique(names []string) []string {
	var out []string
	for i, n := range names {
		if i == 0 || n != names[i-1] {
			out = append(out, n)
		}
	}
	return out
}

// The judge isn't blind: each of these faults gives keepalived two holders, and it says so.
func TestObserverSeesTwoHolders(t *testing.T) {
	faults := []struct {
		name    string
		inflict func(*Lab) error
	}{
		{"daemon killed, kernel alive", func(l *Lab) error { return l.Kill("db1") }},
		{"daemon stopped", func(l *Lab) error { return l.Freeze("db1") }},
		{"VRRP firewalled", func(l *Lab) error { return l.Cut(NoVRRP()...) }},
		{"members parted", func(l *Lab) error { return l.Cut(Between("db1", "db2")...) }},
		{"one direction cut", func(l *Lab) error { return l.Cut(OneWay("db1", "db2")...) }},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			l, o := keepalivedLab(t)
			from := time.Now()
			if err := f.inflict(l); err != nil {
				t.Fatal(err)
			}
			await(t, o, "db1", "db2")
			both := time.Now()
			window := both.Add(500 * time.Millisecond)
			if err := o.Await(t.Context(), func([]string) bool { return time.Now().After(window) }); err != nil {
				t.Fatal(err)
			}
			r := o.Report(from, time.Now())
			t.Logf("two holders for %v, on two links for %v, outage %v, stall %v", r.TwoHolders, r.OnTwoLinks(), r.Outage.Length(), r.Stall)
			if r.TwoHolders < 400*time.Millisecond || r.OnTwoLinks() < 400*time.Millisecond {
				t.Errorf("two nodes held the VIP for half a second; reported %v, on links %v\n%+v", r.TwoHolders, r.OnTwoLinks(), r.Holders)
			}
			if len(r.Strangers) > 0 {
				t.Errorf("answers from %v", r.Strangers)
			}
		})
	}
}

// The judge doesn't invent: a crash and a planned stop give keepalived one holder at a time.
func TestObserverSeesOneHolder(t *testing.T) {
	faults := []struct {
		name    string
		inflict func(*Lab) error
	}{
		{"machine powered off", func(l *Lab) error { return l.PowerOff("db1") }},
		{"daemon stopped by SIGTERM", func(l *Lab) error { return l.Stop(context.Background(), "db1") }},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			l, o := keepalivedLab(t)
			from := time.Now()
			if err := f.inflict(l); err != nil {
				t.Fatal(err)
			}
			await(t, o, "db2")
			r := o.Report(from, time.Now())
			t.Logf("outage %v, stall %v, holders %v", r.Outage.Length(), r.Stall, r.Holders)
			if r.TwoHolders != 0 {
				t.Errorf("two holders for %v: %+v", r.TwoHolders, r.Overlaps)
			}
			if has, err := l.HasVIP("db1"); has || err != nil {
				t.Errorf("db1 has the VIP: %v, %v", has, err)
			}
			// Three advertisement intervals at most, and some skew (RFC 9568, 6.1).
			if out := r.Outage.Length(); out < 10*time.Millisecond || out > time.Second {
				t.Errorf("outage %v", out)
			}
		})
	}
}

func TestPowerIsTheWholeMachine(t *testing.T) {
	l, o := keepalivedLab(t)
	if err := inside(l.Namespace("db1"), func() error { return run("table inet theirs {}", "nft", "-f", "-") }); err != nil {
		t.Fatal(err)
	}
	boot, _ := os.ReadFile(l.path("db1", "boot"))
	if err := l.PowerOff("db1"); err != nil {
		t.Fatal(err)
	}
	if pids, err := processes(l.Namespace("db1")); len(pids) > 0 || err != nil {
		t.Errorf("processes %v, %v", pids, err)
	}
	err := inside(l.Namespace("db1"), func() error { return run("", "nft", "list", "table", "inet", "theirs") })
	if err == nil {
		t.Error("netfilter's tables survived the power")
	}
	await(t, o, "db2")
	if err := l.PowerOn("db1"); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(l.path("db1", "boot")); string(again) == string(boot) {
		t.Error("the same boot id after power off and on")
	}
	await(t, o, "db1")
}

// A lab is found again by its directory, refuses to be made twice, and goes by its name alone.
func TestLabOutlivesItsMaker(t *testing.T) {
	l, o := keepalivedLab(t)
	again, err := Open(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Freeze("db1"); err != nil {
		t.Fatal(err)
	}
	await(t, o, "db1", "db2")
	if _, err := Create(t.Context(), l.Options); !errors.Is(err, ErrExists) {
		t.Errorf("a second one of the same name: %v", err)
	}
	if err := o.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(l.path("lab.json")); err != nil {
		t.Fatal(err)
	}
	if err := Remove(Options{Name: l.Name, Dir: l.Dir}); err != nil {
		t.Error(err)
	}
	if parts, err := namespacesOf(l.Name); len(parts) > 0 || err != nil {
		t.Errorf("namespaces %v, %v", parts, err)
	}
}

// Cables that are cut stop just what they should, and heal.
func TestCutsAreExact(t *testing.T) {
	l, _ := keepalivedLab(t)
	reaches := func(from, to string) bool {
		n, _ := NodeNamed(to)
		return inside(l.Namespace(from), func() error { return run("", "arping", "-c1", "-w1", "-I", nodeLink, n.Addr.String()) }) == nil
	}
	if err := l.Cut(FromPeers("db1")...); err != nil {
		t.Fatal(err)
	}
	for _, link := range []struct {
		from, to string
		want     bool
	}{{"db1", "db2", false}, {"arb", "db1", false}, {"db2", "arb", true}, {"client", "db1", true}} {
		if got := reaches(link.from, link.to); got != link.want {
			t.Errorf("%s reaches %s: %v, want %v", link.from, link.to, got, link.want)
		}
	}
	if err := l.Heal(Between("db1", "arb")...); err != nil {
		t.Fatal(err)
	}
	if !reaches("arb", "db1") || reaches("db1", "db2") {
		t.Error("healing one cable of two")
	}
	if err := l.Heal(); err != nil {
		t.Fatal(err)
	}
	if !reaches("db1", "db2") {
		t.Error("db1 doesn't reach db2 though all is healed")
	}
	if err := l.Cut(OneWay("db1", "nowhere")...); err == nil {
		t.Error("a port that there isn't was cut")
	}
}

//go:build linux

package netns_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// Keepalived goes through the same faults in the same run, so that the figures can be compared. That it has
// two holders under some is also why the judge's word on solevip counts.
func TestKeepalivedBesideIt(t *testing.T) {
	if err := lab.Available(lab.Keepalived); err != nil {
		t.Skip(err)
	}
	l, err := lab.Create(t.Context(), lab.Options{Name: fmt.Sprintf("r%d", os.Getpid()), Dir: t.TempDir() + "/lab", Program: lab.Keepalived})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, Lab: l}
	t.Cleanup(func() { c.must(l.Destroy()) })
	if c.judge, err = l.Observe(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.must(c.judge.Stop()) })
	c.must(l.Up())
	c.answers("db1")
	for _, f := range []lab.Fault{lab.Crash, lab.Stopped, lab.Killed, lab.Firewalled} {
		ctx, cancel := c.within()
		r, err := l.Play(ctx, c.judge, f, watchOf(f))
		c.must(err)
		figures = append(figures, fmt.Sprintf("%-44s adv %-5v client outage %8s, two holders %5s", "keepalived: "+f.Name,
			l.Advert, lab.Milliseconds(r.Outage.Length()), lab.Milliseconds(r.TwoHolders)))
		if two := r.TwoHolders > time.Second; two != (f.Name == lab.Killed.Name || f.Name == lab.Firewalled.Name) {
			t.Errorf("%s: two holders for %v", f.Name, r.TwoHolders)
		}
		c.must(l.Mend(ctx, c.judge, lab.Result{Fault: f, Holder: r.Holder}))
		cancel()
	}
}

// watchOf gives keepalived the 3.6 s that it needs to go wrong, and a second and a half of it.
func watchOf(f lab.Fault) time.Duration {
	if f.Planned {
		return 0
	}
	return 5500 * time.Millisecond
}

// What it costs to run.
func TestFootprint(t *testing.T) {
	c := newCluster(t)
	memory, err := c.Memory(c.holder())
	c.must(err)
	binary, err := os.Stat(solevip)
	c.must(err)
	figures = append(figures, fmt.Sprintf("holder's resident memory %.1f MB, binary %.1f MB (not stripped)", float64(memory)/1e6, float64(binary.Size())/1e6))
	const limit = 60e6
	if memory == 0 || memory > limit {
		t.Errorf("%d bytes resident; want at most %.0f", memory, limit)
	}
}

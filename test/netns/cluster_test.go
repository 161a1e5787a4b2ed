//go:build linux

package netns_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/test/lab"
)

const (
	// ttl is short, so that the tests are.
	ttl = 1500 * time.Millisecond
	// patience bounds every wait. Nothing should take a third of it.
	patience = 30 * time.Second
	// planned is what a client may notice of a planned move.
	planned = 20 * time.Millisecond
	// stumble is what a busy machine may cost when nothing moves. Whatever moves without being planned costs
	// more: the pause between two readings of the power alone is twice as long.
	stumble = 250 * time.Millisecond
	// fencing is what a fence with a BMC that works may take: it reads the power twice, half a second apart.
	fencing = 900 * time.Millisecond
)

// cluster is a lab with its judge, and with the test that it is for.
type cluster struct {
	t *testing.T
	*lab.Lab
	judge *lab.Observer
	since time.Time
}

// newCluster brings up a cluster that holds the VIP. At the end of the test nobody ever had two
// holders, and nothing is left behind.
func newCluster(t *testing.T, change ...func(*lab.Options)) *cluster {
	t.Helper()
	c := newClusterOff(t, change...)
	c.must(c.Up())
	c.whole()
	return c
}

// newClusterOff is a cluster whose machines have no power yet.
func newClusterOff(t *testing.T, change ...func(*lab.Options)) *cluster {
	t.Helper()
	if err := lab.Available(lab.Solevip); err != nil {
		t.Skip(err)
	}
	o := lab.Options{Name: fmt.Sprintf("t%d", os.Getpid()), Dir: t.TempDir() + "/lab", Binary: solevip, Switch: []string{solevipLab}, TTL: ttl}
	for _, f := range change {
		f(&o)
	}
	l, err := lab.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, Lab: l, since: time.Now()}
	t.Cleanup(c.end)
	if c.judge, err = l.Observe(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) end() {
	if c.judge != nil {
		if err := c.judge.Stop(); err != nil {
			c.t.Error(err)
		}
		r := c.judge.Report(c.since, time.Now())
		if r.TwoHolders > 0 || len(r.Strangers) > 0 {
			c.t.Errorf("TWO HOLDERS for %v: %+v; strangers %v", r.TwoHolders, r.Overlaps, r.Strangers)
		}
		if c.t.Failed() {
			c.story(r)
		}
	}
	if err := c.Destroy(); err != nil {
		c.t.Error(err)
	}
}

// story shows what happened, for whoever has to find out why.
func (c *cluster) story(r lab.Report) {
	events, err := c.Timeline(r)
	if err != nil {
		c.t.Error(err)
	}
	var s strings.Builder
	for _, e := range events {
		fmt.Fprintf(&s, "%+9.3f %-6s %s\n", e.At.Sub(r.From).Seconds(), e.Who, e.Text)
	}
	c.t.Logf("what happened:\n%s", s.String())
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) within() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.t.Context(), patience, fmt.Errorf("it took more than %v", patience))
}

// whole waits until the cluster is.
func (c *cluster) whole() {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	c.must(c.AwaitWhole(ctx))
	_, err := c.judge.AwaitHolder(ctx, "")
	c.must(err)
}

// holder is who answers.
func (c *cluster) holder() string {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	name, err := c.judge.AwaitHolder(ctx, "")
	c.must(err)
	return name
}

// answers waits until a machine does.
func (c *cluster) answers(node string) {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	_, err := c.judge.AwaitHolder(ctx, node)
	c.must(err)
}

// silent waits until nobody answers.
func (c *cluster) silent() {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	c.must(c.judge.Await(ctx, func(holders []string) bool { return len(holders) == 0 }))
}

// watch lets real time pass, and reports what was seen since.
func (c *cluster) watch(from time.Time, d time.Duration) lab.Report {
	c.t.Helper()
	c.must(c.judge.Watch(c.t.Context(), d))
	return c.judge.Report(from, time.Now())
}

// says waits until a daemon does, and returns the whole of it.
func (c *cluster) says(node string, what func(api.Status) bool) api.Status {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	s, err := c.AwaitStatus(ctx, node, what)
	c.must(err)
	return s
}

func (c *cluster) status(node string) api.Status {
	c.t.Helper()
	return c.says(node, func(api.Status) bool { return true })
}

func (c *cluster) epoch(node string) uint64 { return lab.GroupOf(c.status(node)).Epoch }

// play inflicts a fault on the holder, and judges what always must be.
func (c *cluster) play(f lab.Fault, atLeast time.Duration) lab.Result {
	c.t.Helper()
	ctx, cancel := c.within()
	defer cancel()
	r, err := c.Play(ctx, c.judge, f, atLeast)
	c.must(err)
	name := f.Name + ", " + c.Protection
	if len(c.Etcd) > 0 {
		name += ", on etcd"
	}
	note(name, c.TTL, r.Report)
	c.t.Logf("%s: outage %v, two holders %v, stall %v", f.Name, r.Outage.Length(), r.TwoHolders, r.Stall)
	return r
}

// tookOver checks a take-over: one epoch later, by the other member, on this evidence.
func (c *cluster) tookOver(r lab.Result, epochBefore uint64, evidence string) {
	c.t.Helper()
	heir := lab.Other(r.Holder)
	s := c.says(heir, func(s api.Status) bool { return lab.GroupOf(s).Held() && lab.GroupOf(s).Holder == heir })
	g := lab.GroupOf(s)
	if g.Epoch != epochBefore+1 || g.Evidence != evidence || g.Previous != r.Holder {
		c.t.Errorf("epoch %d (before: %d), evidence %q of %q; want one epoch more, %q of %q", g.Epoch, epochBefore, g.Evidence, g.Previous, evidence, r.Holder)
	}
	shot := slices.ContainsFunc(s.Fences, func(f api.Fence) bool {
		return f.Target == r.Holder && f.By == heir && f.Epoch == g.Epoch && f.Outcome == "off"
	})
	if shot != (evidence == "power-off-verified") {
		c.t.Errorf("fenced: %v, with evidence %s: %+v", shot, evidence, s.Fences)
	}
}

// nothingMoved checks that a window had no outage, no fence and no new epoch.
func (c *cluster) nothingMoved(r lab.Report, holder string, epochBefore uint64) {
	c.t.Helper()
	c.unnoticed(r)
	if last := r.LastHolder(); last != holder {
		c.t.Errorf("%q answers, not %s", last, holder)
	}
	s := c.status(holder)
	if g := lab.GroupOf(s); g.Epoch != epochBefore || len(s.Fences) > 0 {
		c.t.Errorf("epoch %d (before: %d), fences %+v", g.Epoch, epochBefore, s.Fences)
	}
}

// unnoticed checks that a client did not notice that anything moved. What the judge itself had to wait
// for a processor, everything else on this machine had to wait, too.
func (c *cluster) unnoticed(r lab.Report) {
	c.t.Helper()
	if out := r.Outage.Length(); out > stumble+r.Stall {
		c.t.Errorf("outage of %v from %v on; want at most %v, and the judge's own pause of %v", out, r.Outage.From.Sub(r.From), stumble, r.Stall)
	}
}

// lastAnswer is when a machine last answered within a report.
func lastAnswer(r lab.Report, node string) time.Time {
	var last time.Time
	for _, s := range r.Holders {
		if s.Node == node && s.To.After(last) {
			last = s.To
		}
	}
	return last
}

// goneByDeadline checks that a machine that could not renew after a moment answered no longer than
// the lease that it had then.
func (c *cluster) goneByDeadline(r lab.Report, node string) {
	c.t.Helper()
	if held := lastAnswer(r, node).Sub(r.From); held > c.TTL {
		c.t.Errorf("%s answered for %v after it could renew no more; its lease is %v", node, held, c.TTL)
	}
}

//go:build linux

package netns_test

import (
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// tries is how often a planned move may be repeated to show how long it takes: a machine that does other
// things at the same time makes some of them slow. Everything else must be right each time.
const tries = 5

// brief moves the VIP as planned, again and again, until a client noticed no more than it should. Mend
// makes the cluster whole between two moves.
func (c *cluster) brief(f lab.Fault, mend func(lab.Result)) lab.Result {
	c.t.Helper()
	for try := 1; ; try++ {
		before := c.epoch(c.holder())
		r := c.play(f, 0)
		c.tookOver(r, before, "released")
		if out := r.Outage.Length(); out <= planned+r.Stall {
			return r
		} else if try == tries {
			c.t.Fatalf("outage of %v in the last of %d tries; want at most %v, and the judge's own pause of %v", out, tries, planned, r.Stall)
		}
		mend(r)
	}
}

func TestSwitchover(t *testing.T) {
	c := newCluster(t)
	c.brief(lab.SwitchedOver, func(lab.Result) {})
}

func TestDaemonStopped(t *testing.T) {
	c := newCluster(t)
	back := func(r lab.Result) {
		c.must(c.Start(r.Holder))
		c.whole()
	}
	r := c.brief(lab.Stopped, back)

	before, from := c.epoch(r.Heir), time.Now()
	back(r)
	c.nothingMoved(c.watch(from, c.TTL), r.Heir, before)
}

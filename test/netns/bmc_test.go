//go:build linux

package netns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/test/lab"
)

// A BMC that says yes and does nothing proves nothing.
func TestBMCStuck(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	bmc, err := c.BMC(holder)
	c.must(err)
	c.must(bmc.Stuck(true))
	from := time.Now()
	c.must(c.Kill(holder))
	c.silent()
	heir := lab.Other(holder)
	c.says(heir, func(s api.Status) bool { return tried(s, holder) })
	r := c.watch(from, time.Second)
	if lastAnswer(r, heir).After(from) || lab.GroupOf(c.status(heir)).Held() {
		t.Errorf("claimed though the power of %s is on: %+v", holder, r.Holders)
	}
	if commands, err := bmc.Commands(); err != nil || len(commands) == 0 {
		t.Errorf("the BMC was told %v, %v", commands, err)
	}

	c.must(bmc.Stuck(false))
	c.answers(heir)
	c.tookOver(lab.Result{Holder: holder}, before, "power-off-verified")
}

func TestBMCStuckAndASecondLevel(t *testing.T) {
	c := newCluster(t, func(o *lab.Options) { o.PDU = true })
	before, holder := c.epoch("db1"), c.holder()
	bmc, err := c.BMC(holder)
	c.must(err)
	c.must(bmc.Stuck(true))
	r := c.play(lab.Killed, 0)
	c.goneByDeadline(r.Report, holder)
	c.tookOver(r, before, "power-off-verified")
	if f := c.status(r.Heir).Fences[0]; !strings.Contains(f.Method, "script") {
		t.Errorf("proved by %q, %q; want the second level", f.Method, f.Detail)
	}
	if c.Powered(holder) {
		t.Errorf("%s still has power", holder)
	}
}

// The BMC burnt down together with its host: only an operator knows.
func TestBMCUnreachableAndConfirmed(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	heir := lab.Other(holder)
	if _, err := confirm(c, heir, holder); err == nil {
		t.Error("a node that beats was confirmed dead")
	}
	c.must(c.Cut(lab.FromAll(lab.BMCPort(holder))...))
	from := time.Now()
	c.must(c.PowerOff(holder))
	c.silent()
	s := c.says(heir, func(s api.Status) bool { return tried(s, holder) })
	r := c.watch(from, time.Second)
	if lastAnswer(r, heir).After(from) || lab.GroupOf(s).Suspect != holder {
		t.Errorf("claimed, or no suspect: %+v, %+v", r.Holders, lab.GroupOf(s))
	}

	out, err := confirm(c, heir, holder)
	c.must(err)
	t.Log(strings.TrimSpace(out))
	c.answers(heir)
	c.tookOver(lab.Result{Holder: holder}, before, "operator-attested")
}

func confirm(c *cluster, node, dead string) (string, error) {
	ctx, cancel := c.within()
	defer cancel()
	return c.Ask(ctx, node, dead+"\n", "fence", "confirm", dead, "--reason", "the test pulled its plug")
}

// tried reports whether a fence of the node ended without a proof.
func tried(s api.Status, target string) bool {
	for _, f := range s.Fences {
		if f.Target == target && (f.Outcome == "unknown" || f.Outcome == "not-off") {
			return true
		}
	}
	return false
}

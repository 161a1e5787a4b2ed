//go:build linux

package netns_test

import (
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/test/lab"
)

func TestMachinePoweredOff(t *testing.T) {
	c := newCluster(t)
	before := c.epoch("db1")
	r := c.play(lab.Crash, 0)
	c.tookOver(r, before, "power-off-verified")
	if limit := c.TTL + c.TTL/50 + fencing + r.Stall; r.Outage.Length() > limit {
		t.Errorf("outage of %v; want at most %v", r.Outage.Length(), limit)
	}

	t.Run("and boots again with a leftover", func(t *testing.T) {
		c.t = t
		defer func() { c.t = t }()
		from, epoch := time.Now(), c.epoch(r.Heir)
		ctx, cancel := c.within()
		defer cancel()
		c.must(c.PowerOnWithLeftover(ctx, r.Holder))
		c.whole()
		if has, err := c.HasVIP(r.Holder); has || err != nil {
			t.Errorf("%s has the VIP: %v, %v", r.Holder, has, err)
		}
		report := c.watch(from, c.TTL)
		note("fenced machine boots again", c.TTL, report)
		c.unnoticed(report)
		if report.LastHolder() != r.Heir || c.epoch(r.Heir) != epoch {
			t.Errorf("flap: %s answers, epoch %d (before: %d)", report.LastHolder(), c.epoch(r.Heir), epoch)
		}
		if g := lab.GroupOf(c.status(r.Holder)); g.Role != "backup" {
			t.Errorf("%s is %s (%s)", r.Holder, g.Role, g.Reason)
		}
	})
}

// The BMC is dead at first, so that what silences the old holder is its own kernel, and no fence.
func TestDaemonKilled(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	bmc, err := c.BMC(holder)
	c.must(err)
	c.must(bmc.Freeze())

	from := time.Now()
	c.must(c.Kill(holder))
	c.silent()
	r := c.watch(from, 2*c.TTL)
	c.goneByDeadline(r, holder)
	if len(c.judge.Holders()) > 0 || lastAnswer(r, lab.Other(holder)).After(from) {
		t.Errorf("claimed though %s wasn't proved dead: %+v", holder, r.Holders)
	}
	if has, err := c.HasVIP(holder); has || err != nil {
		t.Errorf("the kernel of %s still has the VIP, twice the lease later: %v, %v", holder, has, err)
	}
	g := lab.GroupOf(c.says(lab.Other(holder), func(s api.Status) bool { return lab.GroupOf(s).Suspect == holder }))
	t.Logf("while the BMC is dead: %s: %s", g.Role, g.Reason)

	c.must(bmc.Thaw())
	c.answers(lab.Other(holder))
	c.tookOver(lab.Result{Holder: holder}, before, "power-off-verified")
	if c.Powered(holder) {
		t.Errorf("%s still has power", holder)
	}
	note("daemon killed, its BMC dead for a while", c.TTL, c.judge.Report(from, time.Now()))
}

func TestDaemonKilledAndFenced(t *testing.T) {
	c := newCluster(t)
	before := c.epoch("db1")
	r := c.play(lab.Killed, 0)
	c.goneByDeadline(r.Report, r.Holder)
	c.tookOver(r, before, "power-off-verified")
}

// Killed and started again within its lease, a daemon keeps what it had.
func TestDaemonRestarted(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	from := time.Now()
	c.must(c.Kill(holder))
	c.must(c.Start(holder))
	r := c.watch(from, 2*c.TTL)
	note("daemon killed and started again at once", c.TTL, r)
	c.nothingMoved(r, holder, before)
}

func TestDaemonFrozenAndFenced(t *testing.T) {
	c := newCluster(t)
	before := c.epoch("db1")
	r := c.play(lab.Frozen, 0)
	c.goneByDeadline(r.Report, r.Holder)
	c.tookOver(r, before, "power-off-verified")
}

// Under protection lease nobody is shot, so the frozen daemon wakes up in a world that went on.
func TestDaemonFrozenAndThawed(t *testing.T) {
	c := newCluster(t, func(o *lab.Options) { o.Protection = "lease" })
	before := c.epoch("db1")
	r := c.play(lab.Frozen, 0)
	c.goneByDeadline(r.Report, r.Holder)
	c.tookOver(r, before, "expired")

	from := time.Now()
	c.must(c.Thaw(r.Holder))
	c.whole()
	thawed := c.watch(from, 2*c.TTL)
	c.nothingMoved(thawed, r.Heir, before+1)
	if g := lab.GroupOf(c.status(r.Holder)); g.Role != "backup" {
		t.Errorf("%s is %s (%s)", r.Holder, g.Role, g.Reason)
	}
	if has, err := c.HasVIP(r.Holder); has || err != nil {
		t.Errorf("%s has the VIP: %v, %v", r.Holder, has, err)
	}
}

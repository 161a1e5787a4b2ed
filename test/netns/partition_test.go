//go:build linux

package netns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/test/lab"
)

func TestVRRPFirewalled(t *testing.T) {
	c := newCluster(t)
	before, backup := c.epoch("db1"), lab.Other(c.holder())
	r := c.play(lab.Firewalled, 6*time.Second) // keepalived needs 3.6 s to go wrong
	c.nothingMoved(r.Report, r.Holder, before)
	if why := strings.Join(c.status(backup).Warnings, "\n"); !strings.Contains(why, "adverts are not heard") {
		t.Errorf("the backup doesn't say why nothing moves: %q", why)
	}
}

// Clients still reach the old holder, so only its own kernel keeps them from having two.
func TestHolderCutOffFromPeers(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	from := time.Now()
	c.must(c.Cut(lab.FromPeers(holder)...))
	c.answers(lab.Other(holder))
	r := c.watch(from, time.Second)
	note("holder cut off from both peers", c.TTL, r)
	c.goneByDeadline(r, holder)
	c.tookOver(lab.Result{Holder: holder}, before, "power-off-verified")
}

func TestOneDirectionCut(t *testing.T) {
	for _, towards := range []string{"backup", "holder"} {
		t.Run("towards the "+towards, func(t *testing.T) {
			c := newCluster(t)
			holder := c.holder()
			from, to := holder, lab.Other(holder)
			if towards == "holder" {
				from, to = to, from
			}
			start := time.Now()
			c.must(c.Cut(lab.OneWay(from, to)...))
			r := c.watch(start, 4*c.TTL)
			note("one direction cut, "+towards+" is deaf", c.TTL, r)
			for _, node := range []string{"db1", "db2"} {
				if s := c.status(node); len(s.Fences) > 0 {
					t.Errorf("a healthy node was shot: %+v", s.Fences)
				}
				if !c.Powered(node) {
					t.Errorf("%s has no power", node)
				}
			}
			c.must(c.Heal())
			c.whole()
		})
	}
}

func TestLosingTheQuorum(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	from := time.Now()
	c.must(c.PowerOff("arb"))
	r := c.watch(from, 2*c.TTL)
	note("arbiter dead", c.TTL, r)
	c.nothingMoved(r, holder, before)

	from = time.Now()
	c.must(c.PowerOff(lab.Other(holder)))
	c.silent()
	r = c.watch(from, 3*c.TTL)
	note("arbiter and backup dead: nobody may hold it", c.TTL, r)
	c.goneByDeadline(r, holder)
	if len(c.judge.Holders()) > 0 {
		t.Errorf("%v answers without a quorum", c.judge.Holders())
	}
	if s := c.status(holder); s.Quorum || len(s.Fences) > 0 {
		t.Errorf("one of three says: quorum %v, fences %+v", s.Quorum, s.Fences)
	}

	c.must(c.PowerOn("arb"))
	c.answers(holder)
	c.must(c.PowerOn(lab.Other(holder)))
	c.whole()
}

func TestLeaderKilled(t *testing.T) {
	c := newCluster(t)
	before, holder := c.epoch("db1"), c.holder()
	// The leader is steered away from the holder: its crash should cost no election.
	s := c.says(holder, func(s api.Status) bool { return s.Leader != "" && s.Leader != holder })
	from := time.Now()
	c.must(c.Kill(s.Leader))
	r := c.watch(from, 3*c.TTL)
	note("leader of the ledger killed", c.TTL, r)
	c.nothingMoved(r, holder, before)
	if now := c.status(holder); !now.Quorum || now.Leader == s.Leader {
		t.Errorf("quorum %v, leader %s (killed: %s)", now.Quorum, now.Leader, s.Leader)
	}
}

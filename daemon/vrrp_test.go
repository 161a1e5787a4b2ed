package daemon_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/vrrp"
)

// plainVRRP is a story of a group that VRRP alone decides, with n virtual routers.
func plainVRRP(t *testing.T, n int, tell func(t *testing.T, c *cluster)) {
	t.Helper()
	story(t, func(t *testing.T, c *cluster) {
		c.protection = arbiter.ProtectVRRP
		if n > 1 {
			c.second = &segment{tape: c.tape}
		}
		tell(t, c)
	})
}

func TestVRRPGroupComesUpAfterSilence(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second) // 3 adverts and the skew
		time.Sleep(10 * time.Second)
		c.want("up on db1", c.upOn("db1"), true)
		c.want("up on db2", c.upOn("db2"), false)
		c.want("holder as db2 hears it", c.db("db2").Holder, "db1")
		c.want("exit code", c.status("db2").ExitCode(), 0)
		c.want("promotes", c.tape.count("db1 promote db epoch 1"), 1)
	})
}

func TestVRRPPermitIsRenewedForAsLongAsItIsActive(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.start("db1")
		c.await("db1 binds db", 4*time.Second)
		time.Sleep(5 * time.Minute)
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("up", c.upOn("db1"), true)
		c.kill("db1")
		time.Sleep(ttl)
		c.want("up, long after the kill", c.upOn("db1"), false)
	})
}

func TestVRRPCrashAndPreemption(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		time.Sleep(time.Second)
		c.kill("db1")
		c.await("db2 announces db", 4*time.Second)
		time.Sleep(ttl)
		from := c.now()
		c.start("db1") // of higher priority: it preempts
		c.awaitFrom(from, "db1 binds db", 5*time.Second)
		c.awaitFrom(from, "db2 unbinds db", 5*time.Second)
		c.awaitFrom(from, "db2 demote db", 5*time.Second)
		time.Sleep(10 * time.Second)
		c.want("up on db2", c.upOn("db2"), false)
	})
}

func TestVRRPStopSaysPriorityZeroLast(t *testing.T) {
	plainVRRP(t, 2, func(t *testing.T, c *cluster) {
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		time.Sleep(time.Second)
		began := c.now()
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"db1 is told to stop", "db1 demote db epoch 1", "db1 unbinds db", "db1 sends priority 0 for 50", "db1 sends priority 0 for 51", "db1 has ended",
		}
		got := c.tape.ordered("db1 is told", "db1 demote", "db1 unbinds", "db1 sends", "db1 has ended")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		c.awaitFrom(began, "db2 binds db", time.Second) // the skew only
	})
}

func TestVRRPRestartKeepsTheAddresses(t *testing.T) {
	plainVRRP(t, 2, func(t *testing.T, c *cluster) {
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		time.Sleep(time.Second)
		c.kill("db1")
		time.Sleep(100 * time.Millisecond)
		c.start("db1")
		time.Sleep(time.Minute)
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("up", c.upOn("db1"), true)
		c.want("binds on db2", c.tape.count("db2 binds"), 0)
	})
}

func TestVRRPGroupMovesTogether(t *testing.T) {
	t.Run("it comes up when every virtual router is missed", func(t *testing.T) {
		plainVRRP(t, 2, func(t *testing.T, c *cluster) {
			peer := c.segment.link("peer", c.machine["db1"].address)
			stop := time.Now().Add(20 * time.Second)
			go func() { // the first one is active elsewhere, for a while
				for time.Now().Before(stop) {
					_ = peer.Send(vrrp.Advert{Version: vrrp.V3, VRID: 50, Priority: 150, Interval: time.Second})
					time.Sleep(time.Second)
				}
			}()
			c.start("db2")
			time.Sleep(19 * time.Second)
			c.want("binds", c.tape.count("db2 binds"), 0)
			if r := c.db("db2").Reason; !strings.Contains(r, "virtual router 50") || !strings.Contains(r, "10.0.0.1 is active") {
				t.Errorf("reason %q", r)
			}
			c.await("db2 announces db", 6*time.Second)
		})
	})
	t.Run("it goes down when one virtual router yields", func(t *testing.T) {
		plainVRRP(t, 2, func(t *testing.T, c *cluster) {
			c.start("db2")
			c.await("db2 announces db", 5*time.Second)
			_ = c.second.link("peer", c.machine["db1"].address).Send(vrrp.Advert{Version: vrrp.V3, VRID: 51, Priority: 250, Interval: time.Second})
			c.await("db2 unbinds db", 10*time.Millisecond)
			c.want("farewells to the active router", c.tape.count("db2 sends priority 0 for 51"), 0)
			c.await("db2 sends priority 0 for 50", 10*time.Millisecond)
		})
	})
}

func TestVRRPFailedPromoteGivesBack(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.hook = func(_ context.Context, node, stage string, _ hook.Facts) error {
			if node == "db1" && stage == "promote" {
				return errors.New("disk is full")
			}
			return nil
		}
		c.start("db1", "db2")
		c.await("db2 binds db", 20*time.Second)
		c.want("binds on db1", c.tape.count("db1 binds"), 0)
	})
}

func TestDeafLinkIsNotSilence(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		time.Sleep(time.Second)
		c.machine["db2"].running.links[0].broken <- errors.New("network is down")
		time.Sleep(time.Minute)
		c.want("binds on db2", c.tape.count("db2 binds"), 0)
		s := c.status("db2")
		c.says(errors.New(strings.Join(s.Warnings, "; ")), "not heard any more", "network is down", "restart solevip")
		synctest.Wait()
	})
}

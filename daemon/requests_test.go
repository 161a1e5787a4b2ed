package daemon_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/vrrp"
)

func (c *cluster) switchover(on, to string) (api.SwitchoverAnswer, error) {
	return c.machine[on].running.Switchover(c.t.Context(), api.SwitchoverRequest{Group: "db", To: to})
}

// says fails unless an error and its hint hold these words.
func (c *cluster) says(err error, words ...string) {
	c.t.Helper()
	if err == nil {
		c.t.Fatalf("no error, want one about %q", words)
	}
	text := err.Error()
	if e, ok := errors.AsType[*api.Error](err); ok {
		text += "; " + e.Hint
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			c.t.Errorf("%q does not say %q", text, w)
		}
	}
}

func TestSwitchover(t *testing.T) {
	for _, on := range []string{"db1", "db2"} {
		t.Run("asked on "+on, func(t *testing.T) {
			story(t, func(t *testing.T, c *cluster) {
				c.held()
				began := c.now()
				a, err := c.switchover(on, "")
				if err != nil {
					t.Fatal(err)
				}
				c.want("answer", a.From+" -> "+a.To, "db1 -> db2")
				c.want("epoch", a.Epoch, uint64(2))
				c.awaitFrom(began, "db2 announces db", 100*time.Millisecond)
				down, _ := c.tape.find("db1 unbinds db", began)
				up, _ := c.tape.find("db2 binds db", began)
				if outage := up - down; outage > 20*time.Millisecond {
					t.Errorf("outage %v", outage)
				}
				c.want("shots", c.tape.count("db2 shoots"), 0)
			})
		})
	}
}

func TestSwitchoverIsRefused(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		_, err := c.switchover("db1", "db3")
		c.says(err, `"db3" is not a member`)
		_, err = c.switchover("db1", "db1")
		c.says(err, "db1 holds group db already")
		_, err = c.machine["db1"].running.Switchover(t.Context(), api.SwitchoverRequest{Group: "mail"})
		c.says(err, `no group is called "mail"`)
		c.kill("db2")
		time.Sleep(2 * takeover)
		_, err = c.switchover("db1", "db2")
		c.says(err, "db2 does not beat", "start its daemon")
		_, err = c.switchover("db1", "")
		c.says(err, "no other member of group db is alive")
		c.want("next", c.db("db1").Next, "")
	})
}

func TestSwitchoverThatTimesOutIsTakenBack(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.hook = func(ctx context.Context, _, stage string, _ hook.Facts) error {
			if stage == "demote" {
				<-ctx.Done() // it never ends by itself
				return context.Cause(ctx)
			}
			return nil
		}
		c.held()
		_, err := c.switchover("db2", "db2")
		c.says(err, "not done after 19s", "taken back")
		c.await("ledger db2: move", beat)
		if next := c.ledger.record().Groups["db"].Next; next != "" {
			t.Errorf("it may still move to %s", next)
		}
		c.want("up on db1", c.upOn("db1"), true)
	})
}

func TestSwitchoverOfAnOperatorWhoLeavesIsTakenBack(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.hook = func(_ context.Context, _, stage string, _ hook.Facts) error {
			if stage == "demote" {
				time.Sleep(time.Second)
			}
			return nil
		}
		c.held()
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, leave)
		_, err := c.machine["db2"].running.Switchover(ctx, api.SwitchoverRequest{Group: "db", To: "db2"})
		c.says(err, "was not done")
		time.Sleep(50 * time.Millisecond)
		if next := c.ledger.record().Groups["db"].Next; next != "" {
			t.Errorf("it may still move to %s", next)
		}
	})
}

func TestSwitchoverWithoutAnswerIsUnknownAndTakenBack(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.unplanned = true
		c.hook = func(ctx context.Context, _, stage string, _ hook.Facts) error {
			if stage == "demote" {
				<-ctx.Done() // else the move would be done before it is taken back
			}
			return nil
		}
		c.held()
		r := c.machine["db2"].running.replica
		r.set(mute)
		failed := make(chan error, 1)
		go func() {
			_, err := c.switchover("db2", "db2")
			failed <- err
		}()
		time.Sleep(50 * time.Millisecond)
		c.want("agreed, and the answer lost: next", c.ledger.record().Groups["db"].Next, "db2")
		r.set(reachable)
		c.says(<-failed, "outcome is unknown")
		time.Sleep(50 * time.Millisecond)
		c.want("next", c.ledger.record().Groups["db"].Next, "")
	})
}

func TestConfirm(t *testing.T) {
	confirm := func(c *cluster, node string) error {
		return c.machine["db2"].running.FenceConfirm(c.t.Context(), api.ConfirmRequest{Node: node, Operator: "ann", Reason: "saw it burn"})
	}
	stuck := func(c *cluster) { // db1 has died, and no device can prove it
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerUnknown })
		c.held()
		c.kill("db1")
		c.await("ledger db2: report", 3*takeover)
	}
	advert := vrrp.Advert{Version: vrrp.V3, VRID: 50, Priority: 200, Interval: time.Second}

	t.Run("frees the group when nothing is heard", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			stuck(c)
			time.Sleep(takeover)
			c.machine["db1"].kernel.forget()
			if err := confirm(c, "db1"); err != nil {
				t.Fatal(err)
			}
			c.await("db2 binds db epoch 2", beat)
			f := c.status("db2").Fences[0]
			c.want("fence", f.Evidence+", "+f.Method+", "+f.Detail, "operator-attested, operator ann, saw it burn")
		})
	})
	t.Run("is refused after a beat", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			c.held()
			c.says(confirm(c, "db1"), "db1 shows signs of life", "its beat was seen")
		})
	})
	t.Run("is refused after an advert", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			stuck(c)
			time.Sleep(takeover)
			c.machine["db2"].running.links[0].inbox <- heard{advert, c.machine["db1"].address}
			synctest.Wait()
			c.says(confirm(c, "db1"), "signs of life", "its advert for db was heard from 10.0.0.1")
		})
	})
	t.Run("is refused after an advert for its group from an unknown address", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			stuck(c)
			time.Sleep(takeover)
			c.machine["db2"].running.links[0].inbox <- heard{advert, c.machine["db1"].address.Next().Next()}
			synctest.Wait()
			c.says(confirm(c, "db1"), "signs of life", "10.0.0.3", "find out who sends them")
			time.Sleep(takeover) // it falls silent: no dead end
			c.machine["db1"].kernel.forget()
			if err := confirm(c, "db1"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("is refused while its machine answers", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			stuck(c)
			time.Sleep(takeover)
			c.answers["db1"] = true
			c.says(confirm(c, "db1"), "signs of life", "answers at the cluster port")
		})
	})
	t.Run("is refused for a node that nobody knows", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			c.held()
			c.says(confirm(c, "db9"), `knows no node "db9"`)
		})
	})
	t.Run("without an answer its outcome is unknown", func(t *testing.T) {
		story(t, func(t *testing.T, c *cluster) {
			stuck(c)
			time.Sleep(takeover)
			c.machine["db2"].running.replica.set(silent)
			began := c.now()
			c.says(confirm(c, "db1"), "outcome is unknown")
			if took := c.now() - began; took > ttl {
				t.Errorf("it took %v to say so", took)
			}
		})
	})
}

func TestFenceTestNeverShoots(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		checks, err := c.machine["db2"].running.FenceTest(t.Context(), api.FenceTestRequest{Node: "db1", Operator: "ann"})
		if err != nil || len(checks) != 1 || checks[0].Power != "on" {
			t.Errorf("%v, %v", checks, err)
		}
		_, err = c.machine["db2"].running.FenceTest(t.Context(), api.FenceTestRequest{Node: "db2", Operator: "ann"})
		c.says(err, "does not fence itself")
		_, err = c.machine["db2"].running.FenceTest(t.Context(), api.FenceTestRequest{Node: "db9", Operator: "ann"})
		c.says(err, "no fence device is configured")
		c.want("shots", c.tape.count("db2 shoots"), 0)
	})
}

func TestDeviceOfAnotherMachineShootsNobody(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		says := func(identity string) { c.machine["db1"].bmc.set(func(b *bmc) { b.says = identity }) }
		test := func(replaced bool) (string, string) {
			t.Helper()
			checks, err := c.machine["db2"].running.FenceTest(t.Context(), api.FenceTestRequest{Node: "db1", Operator: "ann", Replaced: replaced})
			if err != nil || len(checks) != 1 {
				t.Fatalf("%v, %v", checks, err)
			}
			return checks[0].Recorded, checks[0].Error
		}
		warnings := func() error { return errors.New(strings.Join(c.status("db2").Warnings, "; ")) }
		says("uuid-1")
		c.held()
		time.Sleep(time.Minute)
		c.says(warnings(), "nobody has checked that the fence devices of db1 cut db1", "solevip fence test db1")
		recorded, problem := test(false)
		c.want("recorded", recorded+problem, "recorded")
		recorded, problem = test(false)
		c.want("recorded", recorded+problem, "as recorded")
		by := c.ledger.record().Devices["db1"]["bmc db1"]
		c.want("operator", by.Operator+" on "+by.By, "ann on db2")

		says("uuid-2") // its address is another machine's now
		time.Sleep(time.Minute)
		c.says(warnings(), "group db is unprotected", "may cut another machine", "uuid-1", "uuid-2")
		c.says(errors.New(strings.Join(c.status("db2").Groups[0].Unprotected, "; ")), "no fence path to db1 works")
		_, problem = test(false)
		c.says(errors.New(problem), "may cut another machine")
		c.kill("db1")
		time.Sleep(5 * takeover)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		c.want("up on db2", c.upOn("db2"), false)
		c.want("outcome", c.status("db2").Fences[0].Outcome, "unknown")

		recorded, problem = test(true) // it was replaced: somebody looked
		c.want("recorded", recorded+problem, "recorded, instead of uuid-1")
		c.await("db2 binds db epoch 2", time.Minute)
		c.want("shots", c.tape.count("db2 shoots"), 1)
	})
}

func TestBrokenFencePathIsShownBeforeItIsNeeded(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerUnknown })
		c.held()
		s := c.status("db2")
		if ok := s.Nodes[0].FencePathOK; ok == nil || *ok {
			t.Error("the path to db1 is not shown as broken")
		}
		c.says(errors.New(strings.Join(s.Warnings, "; ")), "group db is unprotected", "no route to host", "solevip fence test db1")
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerOn })
		time.Sleep(time.Minute)
		if ok := c.status("db2").Nodes[0].FencePathOK; ok == nil || !*ok {
			t.Error("the path to db1 is not shown as mended")
		}
	})
}

func TestFenceUnderWayIsNoBrokenPath(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].bmc.set(func(b *bmc) { b.takes = 4 * time.Second })
		time.Sleep(59*time.Second - 2*takeover)
		c.kill("db1")
		c.await("db2 binds db epoch 2", time.Minute)
		if ok := c.status("db2").Nodes[0].FencePathOK; ok == nil || !*ok {
			t.Error("a check that a fence cut short counts as a broken path")
		}
	})
}

func TestStatusSaysWhenItCannotTell(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.warnings = []string{"cluster.insecure: no TLS"}
		c.held()
		c.want("exit code", c.status("db1").ExitCode(), api.ExitHeld)
		c.machine["db1"].running.replica.set(silent)
		c.want("exit code", c.status("db1").ExitCode(), api.ExitCantTell)
		c.says(errors.New(strings.Join(c.status("db1").Warnings, "; ")), "cluster.insecure", "no leader is known")
		c.machine["db1"].running.replica.set(reachable)
		time.Sleep(beat)
	})
}

func TestWatchStreamsChanges(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		c.await("db1 announces db", 3*takeover)
		ctx, leave := context.WithCancelCause(t.Context())
		var seen []string
		ended := make(chan error, 1)
		go func() {
			ended <- c.machine["db1"].running.Watch(ctx, func(s api.Status) error {
				quorum := "no quorum"
				if s.Quorum {
					quorum = "quorum"
				}
				seen = append(seen, s.Groups[0].Role+", "+quorum)
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := len(seen)
		if before == 0 || seen[before-1] != "holder, quorum" {
			t.Fatalf("it saw %q", seen)
		}
		time.Sleep(2 * ttl)
		synctest.Wait()
		c.want("news while only ages and deadlines change", len(seen), before)
		c.machine["db1"].running.replica.set(silent) // no record comes, and yet it is news
		time.Sleep(time.Second)
		synctest.Wait()
		c.want("after the ledger was lost", seen[len(seen)-1], "holder, no quorum")
		c.machine["db1"].running.replica.set(reachable)
		time.Sleep(2 * time.Second)
		gone := errors.New("the operator has left")
		leave(gone)
		c.want("end", <-ended, gone)
	})
}

func TestWatchEndsWithTheDaemon(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		ended := make(chan error, 1)
		go func() {
			ended <- c.machine["db1"].running.Watch(t.Context(), func(api.Status) error { return nil })
		}()
		time.Sleep(ttl)
		d := c.machine["db1"].running
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		c.says(<-ended, "the daemon is stopping")
		_, err := d.Status(t.Context())
		c.says(err, "the daemon is stopping")
	})
}

func TestForeignAdvertRaisesOneAlarmAndChangesNothing(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		foreign := c.segment.link("rogue", c.machine["db2"].address.Next())
		for range 200 { // three minutes, and more than an alarm's minute
			if err := foreign.Send(vrrp.Advert{Version: vrrp.V3, VRID: 50, Priority: 254, Interval: time.Second}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("up", c.upOn("db1"), true)
		var alarms int
		for _, w := range c.status("db1").Warnings {
			if strings.Contains(w, "10.0.0.3 adverts this group at priority 254") {
				alarms++
			}
		}
		c.want("alarms in the status", alarms, 1)
		time.Sleep(6 * time.Minute)
		if w := c.status("db1").Warnings; len(w) > 0 {
			t.Errorf("long after: %q", w)
		}
	})
}

func TestVRRPCutMovesNothing(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.segment.set(true)
		time.Sleep(time.Minute)
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		c.want("reason", c.db("db2").Reason, "db1 holds it and renews")
		if w := strings.Join(c.status("db2").Warnings, "\n"); !strings.Contains(w, "db1 renews, but its VRRP adverts are not heard here") {
			t.Errorf("the status doesn't say why nothing moves: %q", w)
		}
		c.want("warnings of the holder", len(c.status("db1").Warnings), 0)
		c.want("protection", c.db("db2").Protection, string(arbiter.ProtectFence))
	})
}

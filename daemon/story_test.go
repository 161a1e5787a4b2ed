package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/hook"
)

func TestFirstClaim(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.post = true
		c.start("db1")
		c.await("db1 announces db", 3*takeover)
		time.Sleep(beat)
		want := []string{
			"db1 sweeps, keeps []", "ledger db1: register", "ledger db1: take", "db1 promote db epoch 1", "db1 binds db epoch 1", "db1 announces db",
		}
		got := c.tape.ordered("db1 sweeps", "db1 promote", "db1 binds", "db1 announces", "ledger")
		for i, begin := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], begin) {
				t.Fatalf("step %d: want %q in\n%v", i, begin, strings.Join(got, "\n"))
			}
		}
		if c.tape.count("db1 post db epoch 1") != 1 {
			t.Error("the post hook did not run once")
		}
		g := c.db("db1")
		c.want("role", g.Role, "holder")
		c.want("holder", g.Holder, "db1")
		c.want("up", g.Up, true)
		if g.DeadlineMS <= 0 || g.DeadlineMS > ttl.Milliseconds() {
			t.Errorf("deadline in %d ms", g.DeadlineMS)
		}
	})
}

func TestNewNodeRegistersAtOnce(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		c.await("db1 announces db", 3*takeover)
		c.start("db2")
		c.await("ledger db2: register", 10*time.Millisecond)
	})
}

func TestSecondBurstAndRefreshFollowTheFirst(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		c.await("db1 announces db", 3*takeover)
		synctest.Wait()
		c.want("first burst", c.tape.count("db1 announces db"), 2)
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		c.want("with the second burst", c.tape.count("db1 announces db"), 4)
		time.Sleep(time.Minute)
		synctest.Wait()
		c.want("with a refresh", c.tape.count("db1 announces db"), 5)
	})
}

func TestCrashedHolderIsFencedThenReplaced(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.kill("db1")
		died := c.now()
		bound := c.await("db2 binds db epoch 2", 2*takeover)
		want := []string{"db2 shoots db1", "db1 has no power", "db2 promote db epoch 2", "db2 binds db epoch 2"}
		got := c.tape.ordered("db2 shoots", "db1 has no power", "db2 promote", "db2 binds")
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " for ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		// Readings of the device: 10 ms each, two of them 500 ms apart; beside them, 100 ms for all else.
		if limit := takeover + 600*time.Millisecond + 100*time.Millisecond; bound-died > limit {
			t.Errorf("it took %v, more than %v", bound-died, limit)
		}
		f := c.status("db2").Fences[0]
		c.want("fence", f.Target+" by "+f.By+" "+f.Outcome+" "+f.Evidence, "db1 by db2 off power-off-verified")
	})
}

func TestHolderWithoutLedgerIsDownByItsDeadline(t *testing.T) {
	for name, w := range map[string]weather{"nothing reaches the ledger": silent, "no answer comes back": mute} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, c *cluster) {
				c.unplanned = true
				c.held()
				until, lost := c.machine["db1"].kernel.end(), c.now()
				c.machine["db1"].running.replica.set(w)
				down := c.await("db1 unbinds db", ttl+beat)
				if permit := until - time.Hour; down > permit+beat || down < permit-beat {
					t.Errorf("down at %v, the permit ended at about %v", down, permit)
				}
				if spans := c.machine["db1"].kernel.history(); spans[0].to < c.clock()-beat {
					t.Errorf("down too early: %v", spans)
				}
				c.await("db1 demote db epoch 1", beat)
				time.Sleep(takeover)
				c.machine["db1"].running.replica.set(reachable)
				c.awaitFrom(lost, "ledger db1: release db by db1/boot-1.i-db1", 4*takeover)
			})
		})
	}
}

func TestProposalThatNeverReturnsDoesNotDelayUnbind(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		r := c.machine["db1"].running.replica
		r.set(silent) // from now on every proposal hangs until its own time limit
		time.Sleep(time.Millisecond)
		end := c.machine["db1"].kernel.end()
		c.await("db1 unbinds db", ttl+beat)
		if late := c.clock() - end; late > 5*time.Millisecond {
			t.Errorf("unbound %v after the permit's end", late)
		}
		c.kill("db1")
	})
}

func TestSlowFenceDoesNotDelayBeats(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].bmc.set(func(b *bmc) { b.takes = 4 * time.Second })
		c.kill("db1")
		c.await("db2 shoots db1", takeover+10*time.Second)
		before := c.ledger.record().Nodes["db2"].Beat
		time.Sleep(4 * beat)
		if n := c.ledger.record().Nodes["db2"].Beat - before; n < 3 {
			t.Errorf("%d beats in the time of four, while the device was slow", n)
		}
		c.await("db2 binds db epoch 2", 20*time.Second)
	})
}

func TestStopHandsOverInOrder(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.hook = func(context.Context, string, string, hook.Facts) error { time.Sleep(50 * time.Millisecond); return nil }
		c.held()
		began := c.now()
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		c.awaitFrom(began, "db2 announces db", takeover)
		want := []string{
			"db1 is told to stop", "db1 demote db epoch 1", "db1 has done demote: <nil>", "db1 unbinds db", "ledger db1: release db by db1/boot-1.i-db1 epoch 1 <nil>",
			"db1 sends priority 0 for 50", "db1 has ended",
		}
		got := c.tape.ordered("db1 is told", "db1 demote", "db1 has done demote", "db1 unbinds", "ledger db1: release", "db1 sends", "db1 has ended")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		c.want("shots", c.tape.count("db2 shoots"), 0)
		down, _ := c.tape.find("db1 unbinds db", began)
		up, _ := c.tape.find("db2 binds db epoch 2", began)
		if outage := up - down - 50*time.Millisecond; outage > 20*time.Millisecond { // less the promote hook
			t.Errorf("outage %v", outage)
		}
	})
}

func TestPriorityZeroMakesItLookAtTheLedgerAtOnce(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		r := c.machine["db2"].running.replica
		before := r.looks()
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.looks() == before {
			t.Error("it did not look")
		}
	})
}

func TestFailedPromoteGivesBack(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.hook = func(_ context.Context, node, stage string, _ hook.Facts) error {
			if node == "db1" && stage == "promote" {
				return errors.New("disk is full")
			}
			return nil
		}
		c.start("db1", "db2")
		c.await("db2 announces db", 3*takeover)
		c.want("binds on db1", c.tape.count("db1 binds"), 0)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		if got := c.tape.ordered("db1 demote", "ledger db1: release"); len(got) != 2 || !strings.Contains(got[1], "<nil>") || strings.Contains(got[1], "dirty") {
			t.Errorf("want a demote and a clean release, got %q", got)
		}
	})
}

func TestFailedDemoteIsNotReleased(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.hook = func(_ context.Context, node, stage string, _ hook.Facts) error {
			if node == "db1" && stage == "demote" {
				return errors.New("the service does not stop")
			}
			return nil
		}
		c.held()
		began := c.now()
		c.machine["db1"].running.stop(errors.New("terminated"))
		c.awaitFrom(began, "db2 shoots db1", 3*takeover)
		c.awaitFrom(began, "db2 binds db epoch 2", 3*takeover)
		for _, l := range c.tape.ordered("ledger db1: release") {
			if !strings.Contains(l, "dirty") {
				t.Errorf("released as if it had been demoted: %s", l)
			}
		}
		c.want("farewells", c.tape.count("db1 sends priority 0"), 0)
	})
}

func TestRestartWithinTheLeaseKeepsTheAddresses(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.kill("db1")
		time.Sleep(beat / 2)
		from := c.now()
		c.start("db1")
		time.Sleep(2 * takeover)
		c.want("up", c.upOn("db1"), true)
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("unbinds", c.tape.count("db1 unbinds"), 0)
		c.want("epoch", c.db("db1").Epoch, uint64(1))
		if _, kept := c.tape.find("db1 sweeps, keeps [db]", from); !kept {
			t.Error("the sweep did not keep the group")
		}
	})
}

// A file may be older than what its writer did last: here the disk was full when it took the group
// down and gave it back. Until the ledger tells, the next process must not believe the file, speak
// as the active router, or show that it holds the group.
func TestStaleFileInheritsNothing(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		path := filepath.Join(c.machine["db1"].dir, "groups", "db.json")
		synctest.Wait()
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		c.await("db2 binds db epoch 2", takeover)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(file), `"up": true`) {
			t.Fatalf("the file to put back says nothing of what was up: %s", file)
		}
		c.start("db1")
		replica := c.machine["db1"].running.replica
		replica.set(silent)
		time.Sleep(beat)
		c.want("role before it knows", c.db("db1").Role, "backup")
		c.want("up before it knows", c.db("db1").Up, false)
		replica.set(reachable)
		time.Sleep(2 * takeover)
		c.want("times that db1 had it up", len(c.machine["db1"].kernel.history()), 1)
		c.want("holder", c.db("db1").Holder, "db2")
	})
}

func TestRestartAfterTheLeaseDemotesAndReleases(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		c.await("db1 announces db", 3*takeover)
		c.kill("db1")
		time.Sleep(2 * ttl)
		from := c.now()
		c.start("db1")
		c.awaitFrom(from, "db1 demote db epoch 1", takeover)
		c.awaitFrom(from, "ledger db1: release", takeover)
		c.awaitFrom(from, "db1 binds db epoch 2", 3*takeover)
	})
}

func TestMissingFenceDeviceBlocksLoudly(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.unplanned = true
		c.held()
		c.kill("db1")
		time.Sleep(3 * takeover)
		g := c.db("db2")
		c.want("role", g.Role, "claiming")
		c.want("suspect", g.Suspect, "db1")
		if !strings.Contains(g.Reason, "no fence device") || !strings.Contains(g.Reason, "solevip fence confirm db1") {
			t.Errorf("reason %q says neither why nor what to do", g.Reason)
		}
		c.want("exit code", c.status("db2").ExitCode(), 2)
		c.want("binds", c.tape.count("db2 binds"), 0)
	})
}

func TestDeviceThatLiesProvesNothing(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].bmc.set(func(b *bmc) { b.stuck = true })
		c.kill("db1")
		c.await("ledger db2: report", takeover+time.Minute)
		c.want("binds", c.tape.count("db2 binds"), 0)
		f := c.status("db2").Fences
		i := slices.IndexFunc(f, func(f apiFence) bool { return f.Outcome != "" })
		c.want("outcome", f[i].Outcome, "not-off")
		c.machine["db1"].bmc.set(func(b *bmc) { b.stuck = false })
		c.await("db2 binds db epoch 2", 2*time.Minute)
	})
}

func TestShutdownIsBoundedWithoutQuorum(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].running.replica.set(silent)
		began := c.now()
		if err := c.stop("db1"); err != nil {
			t.Fatal(err)
		}
		if took := c.now() - began; took > ttl+2*time.Second+beat {
			t.Errorf("it took %v", took)
		}
		c.want("up", c.upOn("db1"), false)
	})
}

// The demote hook hangs, so the daemon ends with the addresses up and must take them down itself,
// after the last extension that it asked of a slow kernel.
func TestBindThatEndsAfterTheStopDoesNotStay(t *testing.T) {
	for offset := time.Duration(0); offset < beat; offset += 100 * time.Millisecond {
		t.Run(offset.String(), func(t *testing.T) {
			story(t, func(t *testing.T, c *cluster) {
				c.unplanned = true
				c.hook = func(ctx context.Context, _, stage string, _ hook.Facts) error {
					if stage == "demote" {
						<-ctx.Done()
					}
					return context.Cause(ctx)
				}
				c.machine["db1"].kernel.dozes = 400 * time.Millisecond
				c.start("db1")
				c.await("db1 announces db", 3*takeover)
				time.Sleep(offset)
				if err := c.stop("db1"); err != nil {
					t.Fatal(err)
				}
				c.want("up", c.upOn("db1"), false)
			})
		})
	}
}

// A grant counts from before it was asked for, however long the answer took.
func TestLeaseCountsFromBeforeItWasAskedFor(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.start("db1")
		delay := 600 * time.Millisecond
		c.machine["db1"].running.replica.slow(delay)
		c.await("db1 binds db", 3*takeover)
		if left, most := c.machine["db1"].kernel.end()-c.clock(), ttl-margin-delay; left > most {
			t.Errorf("bound for %v, and %v are left of the lease", left, most)
		}
		time.Sleep(10 * beat)
		if left, most := c.machine["db1"].kernel.end()-c.clock(), ttl-margin-delay; left > most {
			t.Errorf("extended to %v, and %v are left of the lease", left, most)
		}
		c.want("up", c.upOn("db1"), true)
	})
}

func TestFailingKernelGivesTheGroupBack(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.machine["db1"].kernel.fail = func(call, _ string) error {
			if call == "bind" {
				return errors.New("no such device")
			}
			return nil
		}
		c.start("db1", "db2")
		c.await("db2 binds db", 3*takeover)
		c.want("shots", c.tape.count("db2 shoots"), 0)
	})
}

func TestFailureOfOneGroupIsNotAnothers(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.shared = []string{"other"}
		c.machine["db1"].kernel.fail = func(call, group string) error {
			if call == "bind" && group == "other" {
				return errors.New("no such device")
			}
			return nil
		}
		c.start("db1")
		c.await("db1 binds db", 3*takeover)
		time.Sleep(2 * takeover)
		c.want("db up", c.upOn("db1"), true)
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		c.want("other up", c.machine["db1"].kernel.up("other"), false)
	})
}

func TestPanicTakesTheAddressesDown(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		m := c.machine["db1"]
		r := &running{process: &process{kernel: m.kernel}, replica: &replica{ledger: c.ledger, node: "db1"}}
		o, armed := c.options(m, r), new(atomic.Bool)
		o.Ledger = panicky{r.replica, armed}
		d := mustNew(t, o)
		fell := make(chan any, 1)
		go func() {
			defer func() { fell <- recover() }()
			fell <- d.Run(t.Context())
		}()
		c.await("db1 announces db", 3*takeover)
		armed.Store(true)
		c.want("panic", fmt.Sprint(<-fell), "broken invariant")
		c.want("up", c.upOn("db1"), false)
	})
}

// panicky is a ledger whose status breaks the loop, once armed.
type panicky struct {
	*replica
	armed *atomic.Bool
}

func (p panicky) Status() daemonLedgerStatus {
	if p.armed.Load() {
		panic("broken invariant")
	}
	return p.replica.Status()
}

func TestNoLedgerNoProtectedGroup(t *testing.T) {
	c := &cluster{t: t, tape: &tape{}, machine: map[string]*machine{}, protection: arbiter.ProtectVRRP}
	for _, name := range []string{"db1", "db2"} {
		c.machine[name] = &machine{name: name, bmc: &bmc{tape: c.tape, target: name}}
	}
	c.segment = nil
	o := c.options(c.machine["db1"], &running{process: &process{}})
	o.RunDir, o.Fencing = "", map[string]*fence.Plan{}
	o.Groups[0].Protection = arbiter.ProtectFence
	if _, err := newDaemon(o); err == nil || !strings.Contains(err.Error(), "needs a ledger") {
		t.Errorf("got %v", err)
	}
}

//go:build linux

package netns_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// chaosTime is how long faults rain; SOLEVIP_CHAOS says how long instead, and SOLEVIP_SEED which faults.
const chaosTime = 15 * time.Second

// Faults on top of faults, in an order that nobody thought of. There is never a second holder, and when all is
// mended the VIP answers again without an operator.
func TestFaultsOnTopOfFaults(t *testing.T) {
	long, seed := chaosTime, uint64(time.Now().UnixNano())
	var err error
	if v := os.Getenv("SOLEVIP_CHAOS"); v != "" {
		if long, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	if v := os.Getenv("SOLEVIP_SEED"); v != "" {
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for _, protection := range []string{"fence", "lease"} {
		t.Run(protection, func(t *testing.T) {
			t.Logf("the same faults, though not at the same moments: SOLEVIP_SEED=%d", seed)
			c := newCluster(t, func(o *lab.Options) { o.Protection = protection })
			d := &dice{c: c, Rand: rand.New(rand.NewPCG(seed, 0))}
			epoch := c.epoch("db1")
			for end := time.Now().Add(long); time.Now().Before(end); {
				for range 1 + d.IntN(3) { // more at once, and the VIP is nowhere most of the time
					d.throw()
					c.watch(time.Now(), time.Duration(d.IntN(2000))*time.Millisecond)
				}
				c.mendAll()
				now := c.epoch(c.holder())
				if now < epoch {
					t.Fatalf("the epoch went back, from %d to %d", epoch, now)
				}
				epoch = now
			}
			t.Logf("epoch %d at the end", epoch)
			note("faults on top of faults, "+protection, c.TTL, c.judge.Report(c.since, time.Now()))
		})
	}
}

// dice choose what breaks next.
type dice struct {
	c *cluster
	*rand.Rand
}

func (d *dice) node() string { return []string{"db1", "db2", "arb"}[d.IntN(3)] }

func (d *dice) member() string { return []string{"db1", "db2"}[d.IntN(2)] }

// throw does one thing. That it can't be done, as there is nothing to kill on a machine that is off, is no failure.
func (d *dice) throw() {
	a, b := d.node(), d.node()
	faults := []func() error{
		func() error { return d.c.PowerOff(a) },
		func() error { return d.c.PowerOn(a) },
		func() error { return d.c.Kill(a) },
		func() error { return d.c.Start(a) },
		func() error { return d.c.Freeze(a) },
		func() error { return d.c.Thaw(a) },
		func() error { return d.stop(a) },
		func() error { return d.c.Cut(lab.Between(a, b)...) },
		func() error { return d.c.Cut(lab.OneWay(a, b)...) },
		func() error { return d.c.Cut(lab.FromPeers(a)...) },
		func() error { return d.c.Cut(lab.NoVRRP()...) },
		func() error { return d.c.Cut(lab.FromAll(lab.BMCPort(d.member()))...) },
		func() error { return d.c.Heal() },
		func() error { return d.switchover() },
		func() error { return d.stick(true) },
	}
	if err := faults[d.IntN(len(faults))](); err != nil {
		d.c.t.Logf("(%v)", err)
	}
}

// Neither waits long: the other side may be frozen.
func (d *dice) stop(node string) error {
	ctx, cancel := context.WithTimeout(d.c.t.Context(), time.Second)
	defer cancel()
	return d.c.Stop(ctx, node)
}

func (d *dice) switchover() error {
	ctx, cancel := context.WithTimeout(d.c.t.Context(), 2*time.Second)
	defer cancel()
	return d.c.Switchover(ctx, d.member())
}

func (d *dice) stick(on bool) error {
	bmc, err := d.c.BMC(d.member())
	if err != nil {
		return err
	}
	return bmc.Stuck(on)
}

// mendAll ends every fault. A fence that was ordered before may still hit, so machines are switched on until all is well.
func (c *cluster) mendAll() {
	c.t.Helper()
	c.must(c.Heal())
	for _, node := range []string{"db1", "db2"} {
		bmc, err := c.BMC(node)
		c.must(err)
		c.must(bmc.Stuck(false))
	}
	deadline := time.Now().Add(2 * patience)
	for {
		for _, n := range lab.Nodes {
			c.revive(n.Name)
		}
		ctx, cancel := context.WithTimeoutCause(c.t.Context(), 2*time.Second, errors.New("not whole yet"))
		err := c.AwaitWhole(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("everything is mended, and the cluster isn't whole: %v", err)
		}
	}
}

// revive brings a machine and its daemon back from whatever was done to them.
func (c *cluster) revive(node string) {
	if !c.Powered(node) {
		c.must(c.PowerOn(node))
		return
	}
	if err := c.Thaw(node); err != nil && strings.Contains(err.Error(), "no process") {
		c.must(c.Start(node))
	}
}

package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/fence"
)

func (c *cluster) fenceOff(on, node string, force bool) (api.FenceOffAnswer, error) {
	return c.machine[on].running.FenceOff(c.t.Context(), api.FenceOffRequest{Node: node, Operator: "ann", Reason: "smoke", Force: force})
}

func TestOperatorShootsABackup(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		a, err := c.fenceOff("db1", "db2", false)
		if err != nil {
			t.Fatal(err)
		}
		c.want("outcome", a.Outcome, "off")
		c.want("shots", c.tape.count("db1 shoots db2"), 1)
		f := c.status("db1").Fences[0]
		c.want("history", strings.Join([]string{f.State, f.Evidence, f.Operator, f.Reason, f.By}, " "), "off power-off-verified ann smoke db1")
		_, err = c.fenceOff("db1", "db2", false)
		c.says(err, "declared dead before")
		c.want("shots", c.tape.count("db1 shoots db2"), 1)
		c.want("up on db1", c.upOn("db1"), true)
	})
}

func TestHealthyHolderIsNotShotByMistake(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		_, err := c.fenceOff("db2", "db1", false)
		c.says(err, "db1 holds db and is well", "solevip switchover db", "--force")
		_, err = c.fenceOff("db2", "db2", true)
		c.says(err, "does not fence itself")
		_, err = c.fenceOff("db2", "db9", true)
		c.says(err, "no fence device is configured")
		c.want("shots", c.tape.count("db2 shoots"), 0)
		if _, err = c.fenceOff("db2", "db1", true); err != nil {
			t.Fatal(err)
		}
		c.await("db2 binds db epoch 2", 2*takeover)
		c.want("shots", c.tape.count("db2 shoots"), 1)
	})
}

func TestOrderThatProvesNothingBlocksNobody(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerUnknown })
		_, err := c.fenceOff("db2", "db1", true)
		c.says(err, "db1 is not proved off (unknown)", "no route to host", "solevip fence confirm db1")
		c.want("state", c.status("db2").Fences[0].State, "failed")
		c.want("up on db1", c.upOn("db1"), true)
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerOn })
		c.kill("db1")
		c.await("db2 binds db epoch 2", time.Minute)
	})
}

func TestOrderEndsWithTheQuorum(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.machine["db1"].bmc.set(func(b *bmc) { b.takes = time.Second })
		ended := make(chan error, 1)
		go func() {
			_, err := c.fenceOff("db2", "db1", true)
			ended <- err
		}()
		time.Sleep(100 * time.Millisecond) // the device is being read; then this node is cut off
		c.machine["db2"].running.replica.set(silent)
		time.Sleep(10 * time.Second)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		c.machine["db2"].running.replica.set(reachable)
		c.says(<-ended, "not proved off")
	})
}

func TestFencedNodeWaitsToBeUnfenced(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.manual = true
		c.held()
		c.kill("db1")
		c.await("db2 binds db epoch 2", time.Minute)
		c.machine["db1"].bmc.set(func(b *bmc) { b.power = fence.PowerOn })
		c.start("db1")
		time.Sleep(takeover)
		s := c.status("db2")
		c.want("barred", s.Nodes[0].Barred, true)
		c.says(errors.New(strings.Join(s.Warnings, "; ")), "db1 was fenced and came back", "solevip fence unfence db1")
		_, err := c.switchover("db2", "db1")
		c.says(err, "was not unfenced yet")
		if err := c.machine["db2"].running.FenceUnfence(t.Context(), api.UnfenceRequest{Node: "db1", Operator: "ann"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.switchover("db2", "db1"); err != nil {
			t.Fatal(err)
		}
		c.want("history", c.status("db2").Fences[0].State+" "+c.status("db2").Fences[0].Operator, "lifted ann")
	})
}

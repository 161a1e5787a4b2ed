package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
)

func (c *cluster) maintenance(length time.Duration) error {
	return c.machine["db2"].running.Maintenance(c.t.Context(), api.MaintenanceRequest{
		On: length > 0, ForMS: length.Milliseconds(), Operator: "ann", Reason: "new switches",
	})
}

func TestMaintenanceHoldsShotsBackForItsTime(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		if err := c.maintenance(time.Minute); err != nil {
			t.Fatal(err)
		}
		began := c.now()
		s := c.status("db2")
		c.want("operator", s.Maintenance.Operator+" on "+s.Maintenance.By, "ann on db2")
		c.says(errors.New(strings.Join(s.Warnings, "; ")), "maintenance by ann (new switches)")
		c.kill("db1")
		time.Sleep(50 * time.Second)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		c.want("holder", c.db("db2").Holder, "db1") // nothing was taken from it
		c.says(errors.New(c.db("db2").Reason), "maintenance by ann (new switches) holds shots back")
		at := c.await("db2 binds db epoch 2", 20*time.Second)
		if at < began+time.Minute {
			t.Errorf("taken over after %v", at-began)
		}
		time.Sleep(5 * time.Second)
		if c.ledger.record().Maintenance.On {
			t.Error("the ledger still has it, and a node that is started now would count it anew")
		}
		c.want("shown", c.status("db2").Maintenance == nil, true)
	})
}

func TestMaintenanceEndsOnAnOperatorsWord(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		c.says(c.maintenance(0), "no maintenance to end")
		if err := c.maintenance(time.Hour); err != nil {
			t.Fatal(err)
		}
		c.kill("db1")
		time.Sleep(3 * takeover)
		c.want("shots", c.tape.count("db2 shoots"), 0)
		if err := c.maintenance(0); err != nil {
			t.Fatal(err)
		}
		c.await("db2 binds db epoch 2", 2*takeover)
	})
}

func TestSwitchoverWorksDuringMaintenance(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		if err := c.maintenance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := c.switchover("db1", "db2"); err != nil {
			t.Fatal(err)
		}
		c.want("shots", c.tape.count("db1 shoots")+c.tape.count("db2 shoots"), 0)
	})
}

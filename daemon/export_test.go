package daemon_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
)

func TestABackupSaysHowOldItMayBe(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		d := c.machine["db2"].running
		b, err := d.ExportLedger(t.Context(), false)
		var r arbiter.Record
		if err != nil || !b.Current || b.Cluster != "orders" || json.Unmarshal(b.Record, &r) != nil || r.Groups["db"].Holder.Node != "db1" {
			t.Fatalf("%+v, %v", b, err)
		}
		d.replica.set(silent)
		time.Sleep(time.Second)
		_, err = d.ExportLedger(t.Context(), false)
		c.says(err, "can't be read now", "--stale")
		b, err = d.ExportLedger(t.Context(), true)
		if err != nil || b.Current || json.Unmarshal(b.Record, &r) != nil || r.Groups["db"].Epoch != 1 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

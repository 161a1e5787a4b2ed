package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
)

// exportTime is how long a read of the ledger may take for a backup.
const exportTime = 5 * time.Second

// ExportLedger is the ledger as a backup: as it is now, by a read that a majority agreed on, or,
// when stale is enough, as this node saw it last.
func (d *Daemon) ExportLedger(ctx context.Context, stale bool) (api.LedgerBackup, error) {
	b := api.LedgerBackup{Format: api.BackupFormat, Cluster: d.o.Cluster, Node: d.o.Node, At: time.Now().UTC().Format(time.RFC3339), Current: true}
	if d.o.Ledger == nil {
		return b, &api.Error{What: "no group of this cluster has a ledger: there is nothing to export"}
	}
	limited, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	r, err := d.o.Ledger.Read(limited)
	if err != nil {
		if !stale {
			return b, &api.Error{What: fmt.Sprintf("the ledger can't be read now: %v", err), Hint: "what this node saw last can be exported with --stale"}
		}
		b.Current = false
		known := false
		if r, err = ask(ctx, d, func(time.Duration) arbiter.Record { known = d.known; return d.record }); err != nil {
			return b, err
		}
		if !known {
			return b, &api.Error{What: "this node has seen nothing of the ledger since it was started", Hint: "ask another node, or use an earlier backup"}
		}
	}
	b.Record, err = json.Marshal(r)
	return b, err
}

package daemon

import (
	"context"
	"fmt"

	"github.com/solevip/solevip/api"
)

// tended is the ledger, if it is one to be looked after.
func (d *Daemon) tended() (Tended, error) {
	if t, ok := d.o.Ledger.(Tended); ok {
		return t, nil
	}
	return nil, &api.Error{What: "this cluster's ledger looks after itself", Hint: "ledger gc and ledger confirm are for backend: etcd"}
}

// LedgerGC removes from the ledger what is left of nodes and groups that the file doesn't name.
func (d *Daemon) LedgerGC(ctx context.Context) (api.LedgerGCAnswer, error) {
	t, err := d.tended()
	if err != nil {
		return api.LedgerGCAnswer{}, err
	}
	var nodes, groups []string
	for _, n := range d.o.Nodes {
		nodes = append(nodes, n.Name)
	}
	for _, g := range d.o.Groups {
		groups = append(groups, g.Name)
	}
	removed, kept, err := t.Clean(ctx, nodes, groups)
	if err != nil {
		return api.LedgerGCAnswer{}, &api.Error{What: fmt.Sprint(err), Hint: "see solevip status, and try again"}
	}
	d.log.Warn("the ledger was cleaned", "removed", removed, "kept", kept)
	return api.LedgerGCAnswer{Removed: removed, Kept: kept}, nil
}

// LedgerConfirm takes an operator's word that a ledger which went back may be acted on.
func (d *Daemon) LedgerConfirm(ctx context.Context, r api.LedgerConfirmRequest) error {
	t, err := d.tended()
	if err != nil {
		return err
	}
	if err := t.Confirm(ctx, r.Operator, r.Reason); err != nil {
		return &api.Error{What: fmt.Sprint(err), Hint: "see solevip status"}
	}
	return nil
}

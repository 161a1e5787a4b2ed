package main

import (
	"context"
	"fmt"

	"github.com/solevip/solevip/arbiter/etcd"
	"github.com/solevip/solevip/daemon"
)

// etcd opens the ledger on etcd.
func (w *wiring) etcd(ctx context.Context) (daemon.Arbiter, error) {
	c := w.conf.Ledger.Etcd
	o := etcd.Options{
		Self: w.node, Cluster: w.conf.Cluster.Name, Endpoints: c.Endpoints, Prefix: c.Prefix, User: c.Username,
		Password: c.Password.Reveal(), Dir: w.flags.stateDir, TTL: w.conf.Timing.TTL, Log: w.log.With("component", "ledger"),
	}
	if t := c.TLS.For(w.node); t.CA != "" {
		o.TLS = &etcd.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key}
	}
	l, err := etcd.Open(ctx, o)
	if err != nil {
		return nil, hint{fmt.Errorf("ledger: %w", err), "see ledger.etcd in the file"}
	}
	w.undo.onStop("ledger", l.Close)
	return etcdLedger{l}, nil
}

// etcdLedger is etcd as the daemon sees it.
type etcdLedger struct{ *etcd.Ledger }

func (l etcdLedger) Status() daemon.LedgerStatus {
	s := l.Ledger.Status()
	return daemon.LedgerStatus{Leader: s.Leader, Quorum: s.Quorum, Problem: s.Problem, Warnings: s.Warnings}
}

func (l etcdLedger) Clean(ctx context.Context, nodes, groups []string) (removed, kept []string, err error) {
	found, err := l.GC(ctx, nodes, groups)
	return found.Removed, found.Kept, err
}

package main

import (
	"fmt"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter/remote"
	"github.com/solevip/solevip/cert"
	"github.com/solevip/solevip/daemon"
)

// remote opens the ledger at the arbiters of another cluster.
func (w *wiring) remote() (daemon.Arbiter, error) {
	t := w.conf.Ledger.TLS.For(w.node)
	own, err := cert.LoadGuest(t.CA, t.Cert, t.Key)
	if err != nil {
		return nil, hint{fmt.Errorf("ledger: %w", err),
			fmt.Sprintf("whoever runs the arbiters makes the files with solevip cert issue --cluster %s %s", w.conf.Cluster.Name, w.node)}
	}
	l, err := remote.Open(remote.Options{
		Cluster: w.conf.Cluster.Name, Node: w.node, Arbiters: w.conf.Ledger.Arbiters, TLS: own, TTL: w.conf.Timing.TTL,
		Dir: w.flags.stateDir, Log: w.log.With("component", "ledger"),
	})
	if err != nil {
		return nil, hint{err, "see ledger.arbiters and ledger.tls in the file"}
	}
	w.undo.onStop("ledger", l.Close)
	return remoteLedger{l}, nil
}

// remoteLedger is the arbiters as the daemon sees them.
type remoteLedger struct{ *remote.Ledger }

func (l remoteLedger) Status() daemon.LedgerStatus {
	s := l.Ledger.Status()
	return daemon.LedgerStatus{Leader: s.Leader, Quorum: s.Quorum, Problem: s.Problem, Warnings: s.Warnings}
}

// Served implements daemon.Host.
func (l ledger) Served() []api.Served {
	var out []api.Served
	for _, s := range l.Spaces() {
		c := api.Served{Cluster: s.Cluster}
		for _, n := range s.Nodes {
			m := api.ServedNode{Name: n.Name, Boot: n.Boot, Fenced: n.Fenced, Holds: append([]string{}, n.Holds...), BeatAgeMS: -1}
			if n.Age >= 0 {
				m.BeatAgeMS = n.Age.Milliseconds()
			}
			c.Nodes = append(c.Nodes, m)
		}
		out = append(out, c)
	}
	return out
}

package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
)

// clusterTime is how long a change of who votes may take: a new node copies the ledger first.
const clusterTime = 30 * time.Second

// ChangeCluster gives a node of the cluster a vote in the ledger, or takes it away.
func (d *Daemon) ChangeCluster(ctx context.Context, req api.ClusterRequest) (api.ClusterAnswer, error) {
	ledger, ours := d.o.Ledger.(Members)
	if !ours {
		return api.ClusterAnswer{}, &api.Error{
			What: "this daemon keeps no ledger of its own, so it has no votes to give",
			Hint: "with etcd, see etcdctl member; with protection vrrp alone there is no ledger",
		}
	}
	do := ledger.AddNode
	switch req.Do {
	case api.ClusterAdd:
	case api.ClusterRemove:
		do = ledger.RemoveNode
	default:
		return api.ClusterAnswer{}, &api.Error{What: fmt.Sprintf("unknown change of the cluster %q", req.Do), Hint: "use the command of the same release as the daemon"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, clusterTime, fmt.Errorf("not done after %v", clusterTime))
	defer cancel()
	voters, changed, err := do(ctx, req.Node)
	if err != nil {
		return api.ClusterAnswer{}, &api.Error{What: err.Error(), Hint: "see solevip status; to ask again does no harm"}
	}
	d.log.Warn("an operator changed who votes in the ledger", "change", req.Do, "node", req.Node, "changed", changed, "voters", voters)
	a := api.ClusterAnswer{Do: req.Do, Node: req.Node, Changed: changed, Voters: voters}
	if req.Do == api.ClusterRemove {
		a.Keeps, err = ask(ctx, d, func(time.Duration) []string { return keeps(d.record, req.Node) })
	}
	return a, err
}

// keeps names the groups that stay a node's whether it votes or not: those that it holds or may
// still have up.
func keeps(r arbiter.Record, node string) []string {
	var out []string
	for name, g := range r.Groups {
		if g.Holder.Node == node || g.Suspect.Node == node {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, strings.Compare)
	return out
}

// votes says whether a node votes in the ledger; nil when that isn't known or isn't so asked.
func (l LedgerStatus) votes(node string) *bool {
	if len(l.Voters) == 0 {
		return nil
	}
	v := slices.Contains(l.Voters, node)
	return &v
}

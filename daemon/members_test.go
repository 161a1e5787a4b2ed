package daemon_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/daemon"
)

// votes is who votes in a ledger, or the reason why that doesn't change.
type votes struct {
	names []string
	err   error
}

func (v votes) AddNode(_ context.Context, node string) ([]string, bool, error) {
	return append(v.names, node), true, v.err
}

func (v votes) RemoveNode(_ context.Context, node string) ([]string, bool, error) {
	return v.names, false, v.err
}

// voting is a ledger that the nodes keep themselves.
type voting struct {
	*replica
	daemon.Members
}

func TestChangesOfTheCluster(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		c.held()
		ask := func(v daemon.Members, do, node string) (api.ClusterAnswer, error) {
			if err := c.stop("db2"); err != nil {
				t.Fatal(err)
			}
			c.members = v
			c.start("db2")
			time.Sleep(beat) // it has seen the ledger
			return c.machine["db2"].running.ChangeCluster(t.Context(), api.ClusterRequest{Do: do, Node: node})
		}
		kept := votes{names: []string{"arb", "db1"}}
		got, err := ask(kept, api.ClusterAdd, "db3")
		if diff := cmp.Diff(api.ClusterAnswer{Do: "add", Node: "db3", Changed: true, Voters: []string{"arb", "db1", "db3"}}, got); diff != "" || err != nil {
			t.Errorf("add: %v\n%s", err, diff)
		}
		got, err = ask(kept, api.ClusterRemove, "db1")
		if diff := cmp.Diff(api.ClusterAnswer{Do: "remove", Node: "db1", Voters: kept.names, Keeps: []string{"db"}}, got); diff != "" || err != nil {
			t.Errorf("remove of the holder: %v\n%s", err, diff)
		}
		_, err = ask(kept, "promote", "db3")
		c.says(err, `unknown change of the cluster "promote"`)
		_, err = ask(votes{err: errors.New("db3 is not up")}, api.ClusterAdd, "db3")
		c.says(err, "db3 is not up", "to ask again does no harm")
		_, err = ask(nil, api.ClusterAdd, "db3")
		c.says(err, "no votes to give", "etcdctl member")
	})
}

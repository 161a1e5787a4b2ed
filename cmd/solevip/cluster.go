package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const clusterUsage = `cluster changes which nodes vote in the embedded ledger, one at a time. Ask any node that votes.

  solevip cluster add db3
  solevip cluster remove db3

The file says who the nodes are; it is changed first when one is added, and last when one is
removed. To take a node's vote away frees nothing: what it holds, or may still have up, stays its.`

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use: "cluster", Short: "change which nodes vote in the ledger", Long: clusterUsage,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", "cluster "+args[0]), "see solevip cluster --help"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(
		newClusterChange(api.ClusterAdd, "give a node a vote in the ledger", `add gives a node that is in the file, and runs, a vote in the ledger: it copies the ledger first. It
waits until the node votes. A node that votes already is no error.`),
		newClusterChange(api.ClusterRemove, "take a node's vote in the ledger away", `remove takes a node's vote away. It is refused when the nodes that are up would be no quorum any
more. A node without a vote is no error.`))
	return c
}

func newClusterChange(do, short, long string) *cobra.Command {
	c := &cobra.Command{Use: do + " NODE", Short: short, Long: long + "\n\n  solevip cluster " + do + " db3", Args: exactly("NODE")}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := f.api().ChangeCluster(c.Context(), api.ClusterRequest{Do: do, Node: args[0]})
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), a)
		}
		printChange(c.OutOrStdout(), c.ErrOrStderr(), a)
		return nil
	}
	return c
}

func printChange(out, talk io.Writer, a api.ClusterAnswer) {
	words := map[string][2]string{api.ClusterAdd: {"votes now", "votes already"}, api.ClusterRemove: {"has no vote any more", "has no vote"}}[a.Do]
	is := words[0]
	if !a.Changed {
		is = words[1]
	}
	fmt.Fprintf(out, "%s %s; the voters are %s\n", a.Node, is, strings.Join(a.Voters, ", "))
	if len(a.Keeps) > 0 {
		fmt.Fprintf(talk, "solevip: warning: %s still holds, or may have up, %s: that ends by its own release or by fencing, so leave it in the file until then\n",
			a.Node, strings.Join(a.Keeps, ", "))
	}
	if n := len(a.Voters); a.Do == api.ClusterRemove && n < 3 {
		fmt.Fprintf(talk, "solevip: warning: with %s, the first that fails costs the quorum\n", count(n, "voter"))
	}
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const switchoverUsage = `switchover moves a group to another node: demote hook, addresses down, release, promote hook,
addresses up. It waits until the new node holds the group. Nobody is fenced.

  solevip switchover mysql
  solevip switchover mysql --to db2`

func newSwitchover() *cobra.Command {
	c := &cobra.Command{Use: "switchover GROUP", Short: "move a group to another node, planned", Long: switchoverUsage, Args: exactly("GROUP")}
	to := c.Flags().String("to", "", "node to move to (default: the other member with the highest priority)")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := f.api().Switchover(c.Context(), api.SwitchoverRequest{Group: args[0], To: *to})
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), a)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s -> %s, epoch %d, agreed in %d ms\n", a.Group, a.From, a.To, a.Epoch, a.TookMS)
		return err
	}
	return c
}

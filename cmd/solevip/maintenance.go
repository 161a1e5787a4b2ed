package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const maintenanceUsage = `maintenance holds automatic fencing back, on every node, for a bounded time. What holds a group goes on
holding it. A silent holder of a group under protection fence is neither taken from nor shot, so while
it lasts a crash is an outage. Planned switchovers and solevip fence off work as ever.

  solevip maintenance on --for 30m --reason "new switches in rack 7"
  solevip maintenance off`

func newMaintenance() *cobra.Command {
	c := &cobra.Command{
		Use: "maintenance", Short: "hold automatic fencing back for a while", Long: maintenanceUsage, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", "maintenance "+args[0]), "write maintenance on, or maintenance off"}}
			}
			return c.Help()
		},
	}
	c.AddCommand(newMaintenanceOn(), newMaintenanceOff())
	return c
}

func newMaintenanceOn() *cobra.Command {
	c := &cobra.Command{Use: "on", Short: "nobody is fenced from now on, for a while", Long: maintenanceUsage, Args: exactly()}
	length := c.Flags().Duration("for", 30*time.Minute, "how long, at most 24h")
	reason := c.Flags().String("reason", "", "why, for the ledger (required)")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case strings.TrimSpace(*reason) == "":
			return usage{hint{fmt.Errorf("maintenance needs a reason"), `say why: --reason "new switches in rack 7"`}}
		case *length < time.Second || *length > 24*time.Hour:
			return usage{hint{fmt.Errorf("a maintenance of %v is not possible", *length), "give --for between 1s and 24h"}}
		}
		r := api.MaintenanceRequest{On: true, ForMS: length.Milliseconds(), Operator: operatorName(), Reason: *reason}
		return maintain(c, f, r, fmt.Sprintf("nobody is fenced for %v; end it sooner with solevip maintenance off", *length))
	}
	return c
}

func newMaintenanceOff() *cobra.Command {
	c := &cobra.Command{Use: "off", Short: "fence again", Long: maintenanceUsage, Args: exactly()}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return maintain(c, f, api.MaintenanceRequest{Operator: operatorName()}, "the maintenance is over")
	}
	return c
}

func maintain(c *cobra.Command, f *client, r api.MaintenanceRequest, done string) error {
	if err := f.api().Maintenance(c.Context(), r); err != nil {
		return err
	}
	if f.json() {
		return printJSON(c.OutOrStdout(), r)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), done)
	return err
}

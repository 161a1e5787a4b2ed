package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const ledgerUsage = `ledger looks after the record of who holds what. export and import are its
backup; import is for the embedded one, when its majority is lost for good. With
backend: etcd there is something to do when nodes or groups left the file (gc), and when etcd was restored
from a backup (confirm).

  solevip ledger export > ledger.json
  solevip ledger import ledger.json
  solevip ledger gc
  solevip ledger confirm --reason "etcd was restored from last night's backup, all other nodes are stopped"`

func newLedger() *cobra.Command {
	c := &cobra.Command{
		Use: "ledger", Short: "look after the record of who holds what", Long: ledgerUsage,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", "ledger "+args[0]), "see solevip ledger --help"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(newLedgerExport(), newLedgerImport(), newLedgerGC(), newLedgerConfirm())
	return c
}

func newLedgerGC() *cobra.Command {
	c := &cobra.Command{
		Use: "gc", Short: "remove what is left of nodes and groups that the file doesn't name", Args: exactly(),
		Long: "gc removes from a ledger on etcd what is left of nodes and groups that the daemon's file doesn't\n" +
			"name. What still matters to somebody's safety stays, and is told with the reason.",
	}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		found, err := f.api().LedgerGC(c.Context())
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), found)
		}
		for _, text := range found.Removed {
			fmt.Fprintln(c.OutOrStdout(), "removed", text)
		}
		for _, text := range found.Kept {
			fmt.Fprintln(c.OutOrStdout(), "kept", text)
		}
		if len(found.Removed)+len(found.Kept) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "nothing is left over")
		}
		return nil
	}
	return c
}

func newLedgerConfirm() *cobra.Command {
	c := &cobra.Command{
		Use: "confirm", Short: "give your word that a ledger which went back may be acted on", Args: exactly(),
		Long: "A ledger on etcd that is older than what this node has seen of it (a restored backup, another etcd)\n" +
			"moves nothing until you confirm it. Whoever held a group becomes its suspect: it releases by its own word,\n" +
			"or is fenced.",
	}
	reason := c.Flags().String("reason", "", "what happened to etcd (required)")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if strings.TrimSpace(*reason) == "" {
			return usage{hint{fmt.Errorf("confirm needs a reason"), `say what happened: --reason "etcd was restored from a backup"`}}
		}
		operator := operatorName()
		if err := f.api().LedgerConfirm(c.Context(), api.LedgerConfirmRequest{Operator: operator, Reason: *reason}); err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), map[string]string{"operator": operator, "reason": *reason})
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "the ledger is confirmed, on the word of %s\n", operator)
		return err
	}
	return c
}

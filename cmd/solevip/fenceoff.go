package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const offUsage = `off cuts a node's power by its fence devices and proves it: the order is in the ledger first, with
your name and reason, so that one node shoots, once. A node that holds a group and is well is not
shot: move its groups away, or spell it out with --force. What it holds is free to be taken once its
power is proved off.

  solevip fence off db1 --reason "it smokes"
  solevip fence off db1 --reason "it smokes" --force
  solevip fence off db1 --reason "drill" --yes-i-mean db1      (in scripts)`

func newFenceOff() *cobra.Command {
	c := &cobra.Command{Use: "off NODE", Short: "cut a node's power and prove it", Long: offUsage, Args: exactly("NODE")}
	reason := c.Flags().String("reason", "", "why, for the ledger (required)")
	force := c.Flags().Bool("force", false, "shoot it although it holds a group and is well")
	sure := c.Flags().String("yes-i-mean", "", "the node's name again, instead of typing it when asked")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(*reason) == "" {
			return usage{hint{fmt.Errorf("off needs a reason"), `say why: --reason "it smokes"`}}
		}
		return shootNode(c, f, api.FenceOffRequest{Node: args[0], Reason: *reason, Force: *force}, *sure)
	}
	return c
}

// shootNode asks for the node's name and has its power cut.
func shootNode(c *cobra.Command, f *client, r api.FenceOffRequest, sure string) error {
	if err := confirmName(c, fmt.Sprintf("The power of %s will be cut.", r.Node), r.Node, sure, "nobody was shot"); err != nil {
		return err
	}
	r.Operator = operatorName()
	a, err := f.api().FenceOff(c.Context(), r)
	if err != nil {
		return err
	}
	if f.json() {
		return printJSON(c.OutOrStdout(), a)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s is %s, by %s in %d ms: %s\nswitch it on when it may come back\n", a.Node, a.Outcome, a.Method, a.TookMS, a.Detail)
	return err
}

const unfenceUsage = `unfence lets a node hold groups again that was fenced and came back, where the file says
rejoin: manual. See first that it is well.

  solevip fence unfence db1`

func newFenceUnfence() *cobra.Command {
	c := &cobra.Command{Use: "unfence NODE", Short: "let a node that came back after a fence hold groups again", Long: unfenceUsage, Args: exactly("NODE")}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		r := api.UnfenceRequest{Node: args[0], Operator: operatorName()}
		if err := f.api().FenceUnfence(c.Context(), r); err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), r)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s may hold groups again, on the word of %s\n", r.Node, r.Operator)
		return err
	}
	return c
}

func newFenceHistory() *cobra.Command {
	c := &cobra.Command{
		Use: "history", Short: "show every fence that the ledger remembers, and who ordered it", Args: exactly(),
		Long: "history shows the fences that the ledger remembers (the last 64), newest first, with who ordered them.\n\n  solevip fence history\n  solevip fence history -o json",
	}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := f.api().Status(c.Context())
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), s.Fences)
		}
		rows := [][]string{{"AT", "NODE", "STATE", "OUTCOME", "BY", "GROUP", "EPOCH", "METHOD", "EVIDENCE", "OPERATOR", "REASON", "DETAIL"}}
		for _, x := range s.Fences {
			rows = append(rows, []string{
				x.At, x.Target, dash(x.State), dash(x.Outcome), x.By, dash(x.Group), fmt.Sprint(x.Epoch), dash(x.Method),
				dash(x.Evidence), dash(x.Operator), dash(x.Reason), dash(x.Detail),
			})
		}
		return table(c.OutOrStdout(), rows...)
	}
	return c
}

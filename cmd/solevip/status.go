package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const statusUsage = `status shows who holds what, since which epoch, and why.

  solevip status
  solevip status mysql -o json

Exit codes: 0 every group is held, 1 can't tell (no daemon, no quorum), 2 some group isn't held,
3 wrong usage.`

func newStatus() *cobra.Command {
	c := &cobra.Command{Use: "status [GROUP]", Short: "show who holds what, and why", Long: statusUsage}
	f := addClientFlags(c)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return exactly("GROUP")(c, args)
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := f.api().Status(c.Context())
		if err != nil {
			complain(c.ErrOrStderr(), err)
			return exit(api.ExitCantTell)
		}
		if len(args) == 1 {
			if s, err = only(s, args[0]); err != nil {
				return usage{err}
			}
		}
		if f.json() {
			err = printJSON(c.OutOrStdout(), s)
		} else {
			err = printStatus(c.OutOrStdout(), s)
		}
		return errors.Join(err, code(s.ExitCode()))
	}
	return c
}

// code is nil for 0.
func code(n int) error {
	if n == 0 {
		return nil
	}
	return exit(n)
}

// only is a status with one of its groups.
func only(s api.Status, group string) (api.Status, error) {
	var names []string
	for _, g := range s.Groups {
		if g.Name == group {
			s.Groups = []api.Group{g}
			return s, nil
		}
		names = append(names, g.Name)
	}
	return s, hint{fmt.Errorf("no group is called %q", group), "the groups are: " + strings.Join(names, ", ")}
}

func printStatus(w io.Writer, s api.Status) error {
	fmt.Fprintf(w, "cluster %s, seen from %s: %s\n\n", dash(s.Cluster), s.Node, ledgerWords(s))
	rows := [][]string{{"GROUP", "PROTECTION", "HOLDER", "EPOCH", "HERE", "ADDRESSES", "REASON"}}
	for _, g := range s.Groups {
		holder := dash(g.Holder)
		if g.Suspect != "" {
			holder += " (suspect " + g.Suspect + ")"
		}
		rows = append(rows, []string{g.Name, g.Protection, holder, fmt.Sprint(g.Epoch), g.Role, strings.Join(g.Addresses, " "), g.Reason})
	}
	if err := table(w, rows...); err != nil {
		return err
	}
	if err := printChecks(w, s.Groups); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rows = [][]string{{"NODE", "ROLE", "LAST BEAT", "FENCE PATH", "STATE"}}
	for _, n := range s.Nodes {
		rows = append(rows, []string{n.Name, n.Role, age(n.BeatAgeMS), path(n.FencePathOK), state(n)})
	}
	if err := table(w, rows...); err != nil {
		return err
	}
	if len(s.Served) > 0 {
		fmt.Fprintln(w)
		if err := table(w, served(s)...); err != nil {
			return err
		}
	}
	if len(s.Fences) > 0 {
		fmt.Fprintln(w)
		rows = [][]string{{"FENCED", "BY", "GROUP", "EPOCH", "METHOD", "OUTCOME", "EVIDENCE", "AT"}}
		for _, x := range s.Fences[:min(len(s.Fences), 5)] {
			rows = append(rows, []string{x.Target, x.By, dash(x.Group), fmt.Sprint(x.Epoch), dash(x.Method), dash(x.Outcome), dash(x.Evidence), x.At})
		}
		if err := table(w, rows...); err != nil {
			return err
		}
	}
	for _, text := range s.Warnings {
		fmt.Fprintf(w, "\nwarning: %s\n", text)
	}
	return nil
}

// printChecks writes the health checks of this node, if there are any.
func printChecks(w io.Writer, groups []api.Group) error {
	rows := [][]string{{"CHECK", "GROUP", "STATE", "WEIGHT", "REASON"}}
	for _, g := range groups {
		for _, c := range g.Checks {
			weight := fmt.Sprintf("%+d", c.Weight)
			if c.Weight == 0 {
				weight = "fault"
			}
			rows = append(rows, []string{c.Name, g.Name, c.State, weight, dash(c.Reason)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, rows...)
}

// served is a row for each node of the clusters whose ledger is kept here.
func served(s api.Status) [][]string {
	rows := [][]string{{"SERVED CLUSTER", "NODE", "LAST BEAT", "HOLDS", "STATE"}}
	for _, c := range s.Served {
		for _, n := range c.Nodes {
			is := "registered"
			if n.Fenced {
				is = "this boot is dead"
			}
			rows = append(rows, []string{c.Cluster, n.Name, age(n.BeatAgeMS), dash(strings.Join(n.Holds, " ")), is})
		}
	}
	return rows
}

// ledgerWords says how the agreement stands.
func ledgerWords(s api.Status) string {
	switch {
	case !s.Protected():
		return "no ledger: every group is decided by VRRP alone"
	case s.Quorum:
		return "quorum, ledger led by " + dash(s.Leader)
	}
	return "no quorum: nothing is claimed, and a holder stops at its deadline"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func age(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return (time.Duration(ms) * time.Millisecond).Round(100*time.Millisecond).String() + " ago"
}

func path(ok *bool) string {
	switch {
	case ok == nil:
		return "-"
	case *ok:
		return "ok"
	}
	return "BROKEN"
}

func state(n api.Machine) string {
	switch {
	case n.Fenced:
		return "this boot is dead"
	case n.Barred:
		return "waits to be unfenced"
	case n.BeatAgeMS < 0:
		return "never seen"
	case n.Voter != nil && !*n.Voter:
		return "registered, no vote"
	}
	return "registered"
}

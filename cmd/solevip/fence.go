package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const fenceUsage = `fence shows and proves how nodes are cut off.

  solevip fence status
  solevip fence history
  solevip fence test db1
  solevip fence test db1 --shoot
  solevip fence off db1 --reason "it smokes"
  solevip fence unfence db1
  solevip fence confirm db1 --reason "rack 7 has no power, seen it myself"`

func newFence() *cobra.Command {
	c := &cobra.Command{
		Use: "fence", Short: "show, test and confirm fencing", Long: fenceUsage,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", "fence "+args[0]), "see solevip fence --help"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(newFenceStatus(), newFenceHistory(), newFenceTest(), newFenceOff(), newFenceUnfence(), newFenceConfirm())
	return c
}

func newFenceStatus() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "show fence paths and what was fenced", Args: exactly()}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := f.api().Status(c.Context())
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), struct {
				Nodes  []api.Machine `json:"nodes"`
				Fences []api.Fence   `json:"fences"`
			}{s.Nodes, s.Fences})
		}
		rows := [][]string{{"NODE", "LEVEL", "DEVICE", "LAST CHECK", "POWER", "IDENTITY", "ERROR"}}
		for _, n := range s.Nodes {
			for _, p := range n.FencePaths {
				rows = append(rows, []string{n.Name, fmt.Sprint(p.Level), p.Device, path(&p.OK) + ", " + age(p.CheckAgeMS), p.Power, dash(p.Identity), dash(p.Error)})
			}
			if len(n.FencePaths) == 0 {
				rows = append(rows, []string{n.Name, "-", "-", path(n.FencePathOK), "-", "-", "-"})
			}
		}
		if err := table(c.OutOrStdout(), rows...); err != nil || len(s.Fences) == 0 {
			return err
		}
		fmt.Fprintln(c.OutOrStdout())
		rows = [][]string{{"FENCED", "BY", "GROUP", "EPOCH", "METHOD", "OUTCOME", "EVIDENCE", "AT", "DETAIL"}}
		for _, x := range s.Fences {
			rows = append(rows, []string{x.Target, x.By, dash(x.Group), fmt.Sprint(x.Epoch), dash(x.Method), dash(x.Outcome), dash(x.Evidence), x.At, x.Detail})
		}
		return table(c.OutOrStdout(), rows...)
	}
	return c
}

const testUsage = `test asks every fence device of a node for its power and for whose power it cuts, with the real
address and password, and shoots nobody. See that the identity is the node's (on the node:
/sys/class/dmi/id/product_uuid): it is recorded, and compared before each shot from then on.

  solevip fence test db1
  solevip fence test db1 --replaced      (new machine or BMC: record what it says now)
  solevip fence test db1 --shoot         (then really cut its power, and prove it)

With --shoot the node must hold nothing, or be silent; afterwards it is off, and you switch it on.

Exit code 0: every device of some level answered.`

func newFenceTest() *cobra.Command {
	c := &cobra.Command{
		Use: "test NODE", Short: "ask a node's fence devices for its power and identity; nobody is shot", Args: exactly("NODE"),
		Long: testUsage,
	}
	shoot := c.Flags().Bool("shoot", false, "then cut its power for real, after you typed its name")
	sure := c.Flags().String("yes-i-mean", "", "with --shoot: the node's name again, instead of typing it when asked")
	replaced := c.Flags().Bool("replaced", false, "the machine or its device is another one now: record what the devices say")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		checks, err := f.api().FenceTest(c.Context(), api.FenceTestRequest{Node: args[0], Operator: operatorName(), Replaced: *replaced})
		if err != nil {
			return err
		}
		if f.json() {
			err = printJSON(c.OutOrStdout(), checks)
		} else {
			rows := [][]string{{"NODE", "LEVEL", "DEVICE", "POWER", "IDENTITY", "", "TOOK", "ERROR"}}
			for _, x := range checks {
				rows = append(rows, []string{x.Target, fmt.Sprint(x.Level), x.Device, x.Power, dash(x.Identity), dash(x.Recorded), fmt.Sprintf("%d ms", x.TookMS), dash(x.Error)})
			}
			err = table(c.OutOrStdout(), rows...)
		}
		if err == nil && !usable(checks) {
			return hint{fmt.Errorf("no level of %s's fence devices works", args[0]), "groups that it may hold can't be taken over until one does"}
		}
		if err != nil || !*shoot {
			return err
		}
		return shootNode(c, f, api.FenceOffRequest{Node: args[0], Reason: "fence test --shoot"}, *sure)
	}
	return c
}

// usable reports whether every device of some level answered.
func usable(checks []api.DeviceCheck) bool {
	ok := map[int]bool{}
	for _, x := range checks {
		before, seen := ok[x.Level]
		ok[x.Level] = (before || !seen) && x.Error == ""
	}
	for _, good := range ok {
		if good {
			return true
		}
	}
	return false
}

const confirmUsage = `confirm records your word that a node is dead, when no fence device can prove it. The groups that
it held are then free to be taken. It is refused while the node shows any sign of life, and your
name and reason are kept in the ledger.

You become the fence: make sure that the machine has no power. A living node that is confirmed
dead may go on writing.

  solevip fence confirm db1 --reason "pulled both power cords"
  solevip fence confirm db1 --reason "rack burnt down" --yes-i-mean db1      (in scripts)`

func newFenceConfirm() *cobra.Command {
	c := &cobra.Command{Use: "confirm NODE", Short: "give your word that a node is dead", Long: confirmUsage, Args: exactly("NODE")}
	reason := c.Flags().String("reason", "", "how you know it (required)")
	sure := c.Flags().String("yes-i-mean", "", "the node's name again, instead of typing it when asked")
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		node := args[0]
		if strings.TrimSpace(*reason) == "" {
			return usage{hint{fmt.Errorf("confirm needs a reason"), `say how you know: --reason "pulled both power cords"`}}
		}
		question := fmt.Sprintf("If %s is alive, two nodes may write at once. Is its power off?", node)
		if err := confirmName(c, question, node, *sure, "nothing was confirmed"); err != nil {
			return err
		}
		operator := operatorName()
		if err := f.api().FenceConfirm(c.Context(), api.ConfirmRequest{Node: node, Operator: operator, Reason: *reason}); err != nil {
			return err
		}
		if f.json() {
			return printJSON(c.OutOrStdout(), map[string]string{"node": node, "operator": operator, "evidence": "operator-attested"})
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s is recorded as dead, on the word of %s\n", node, operator)
		return err
	}
	return c
}

// confirmName has the operator type the node's name, unless the command line says it already.
func confirmName(c *cobra.Command, question, node, typed, otherwise string) error {
	if typed == "" {
		fmt.Fprintf(c.ErrOrStderr(), "%s Type its name: ", question)
		line, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
		if err != nil && line == "" {
			return hint{fmt.Errorf("nothing was typed: %s", otherwise), "in scripts: --yes-i-mean " + node}
		}
		typed = strings.TrimSpace(line)
	}
	if typed != node {
		return usage{hint{fmt.Errorf("%q is not %q: %s", typed, node, otherwise), "type the node's name exactly"}}
	}
	return nil
}

// operatorName is who to hold to their word.
func operatorName() string {
	return cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("USER"), fmt.Sprintf("uid %d", os.Getuid()))
}

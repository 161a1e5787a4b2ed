package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/config"
)

const checkUsage = `check reads a configuration as run does, tells every mistake at once, and prints the timing that
follows from it. With --node it is as strict as run on that node; without, files that only a node
has (passwords, certificates, hooks) may be missing, with a warning.

  solevip check -c /etc/solevip/solevip.yaml
  solevip check -c /etc/solevip/solevip.yaml --node db1`

func newCheck() *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "check a configuration", Long: checkUsage, Args: exactly()}
	file := c.Flags().StringP("config", "c", defaultConfig, "configuration file")
	node := c.Flags().String("node", "", "check as this node")
	var output string
	addOutputFlag(c, &output)
	c.RunE = func(c *cobra.Command, _ []string) error {
		files := config.WarnFiles
		if *node != "" {
			files = config.NeedFiles
		}
		conf, err := config.Load(*file, config.Options{Node: *node, Files: files})
		if err != nil {
			return err
		}
		for _, w := range conf.Warnings {
			fmt.Fprintln(c.ErrOrStderr(), "warning: "+w.String())
		}
		t := conf.Timing
		if output == "json" {
			return printJSON(c.OutOrStdout(), map[string]any{
				"ok": true, "warnings": len(conf.Warnings), "ttl_ms": t.TTL.Milliseconds(), "beat_ms": t.Beat.Milliseconds(),
				"margin_ms": t.Margin.Milliseconds(), "takeover_ms": t.Takeover.Milliseconds(),
			})
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is fine: %d nodes, %d groups\n", *file, len(conf.Cluster.Nodes), len(conf.Groups))
		if conf.Protected() {
			fmt.Fprintf(c.OutOrStdout(), "ttl %v: a beat every %v; a silent holder is challenged after %v, and has its addresses down %v before its lease ends\n",
				t.TTL, t.Beat, t.Takeover, t.Margin)
		}
		return nil
	}
	return c
}

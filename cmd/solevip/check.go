package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/proc"
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
		conf, err := config.Load(*file, config.Options{Node: *node, Files: files, CheckAgent: newAgents().check(c.Context())})
		if bad, ok := errors.AsType[config.Errors](err); ok && output == "json" {
			err := printJSON(c.OutOrStdout(), map[string]any{"ok": false, "mistakes": bad, "warnings": problems(conf.Warnings)})
			return errors.Join(err, exit(exitFailed))
		}
		if err != nil {
			return err
		}
		if *node != "" {
			if err := trusted(conf, *node); err != nil {
				return err
			}
		}
		for _, w := range conf.Warnings {
			fmt.Fprintln(c.ErrOrStderr(), "warning: "+w.String())
		}
		t := conf.Timing
		if output == "json" {
			return printJSON(c.OutOrStdout(), map[string]any{
				"ok": true, "warnings": problems(conf.Warnings), "ttl_ms": t.TTL.Milliseconds(), "beat_ms": t.Beat.Milliseconds(),
				"margin_ms": t.Margin.Milliseconds(), "takeover_ms": t.Takeover.Milliseconds(),
			})
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is fine: %s, %s\n", *file, count(len(conf.Cluster.Nodes), "node"), count(len(conf.Groups), "group"))
		if conf.Protected() {
			fmt.Fprintf(c.OutOrStdout(), "ttl %v: a beat every %v; a silent holder is challenged after %v, and has its addresses down %v before its lease ends\n",
				t.TTL, t.Beat, t.Takeover, t.Margin)
		}
		return nil
	}
	return c
}

// problems is a list that is [] in JSON when it is empty.
func problems(p []config.Problem) []config.Problem { return append([]config.Problem{}, p...) }

// trusted refuses programs that this node would run as root though others may change them.
func trusted(conf config.Config, node string) error {
	var paths []string
	for _, g := range conf.Groups {
		if g.MayHold(node) {
			paths = append(paths, g.Hooks.Promote.Path, g.Hooks.Demote.Path, g.Hooks.Post.Path)
			for _, c := range g.Checks {
				if c.Script != nil {
					paths = append(paths, c.Script.Path)
				}
			}
		}
	}
	if self, _ := conf.Node(node); self.Role != config.Arbiter {
		for _, f := range conf.Fencing {
			for _, level := range f.Levels {
				for _, d := range level {
					if d.Script != nil && f.Node != node {
						paths = append(paths, d.Script.Path)
					}
				}
			}
		}
	}
	var bad []error
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := proc.Check(path); err != nil {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

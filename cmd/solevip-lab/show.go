//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/test/lab"
)

func statusCommand(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "who answers for the VIP, what has power, what is cut, what the daemons say", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			return showStatus(c.Context(), c.OutOrStdout(), l)
		},
	}
}

func showStatus(ctx context.Context, out io.Writer, l *lab.Lab) error {
	o, err := l.Observe(ctx, 0)
	if err != nil {
		return err
	}
	err = o.Watch(ctx, 300*time.Millisecond)
	holders := o.Holders()
	if stop := o.Stop(); err == nil {
		err = stop
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is answered for by %s\n", lab.VIP, orNobody(holders))
	if cuts, err := l.Cuts(); err == nil && len(cuts) > 0 {
		fmt.Fprintf(out, "cut: %s\n", lab.Describe(cuts))
	}
	for _, n := range lab.Nodes {
		fmt.Fprintf(out, "\n%s  ", n.Name)
		switch {
		case !l.Powered(n.Name):
			fmt.Fprintln(out, "power off")
		case l.Program != lab.Solevip:
			fmt.Fprintln(out, "power on")
		default:
			fmt.Fprintln(out, "power on, its daemon says:")
			showDaemon(ctx, out, l, n.Name)
		}
	}
	return nil
}

// showDaemon doesn't wait long for a daemon that is frozen.
func showDaemon(ctx context.Context, out io.Writer, l *lab.Lab, node string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	said, err := l.Ask(ctx, node, "", "status")
	if err != nil && said == "" {
		said = err.Error()
	}
	for line := range strings.Lines(said) {
		fmt.Fprint(out, "    ", line)
	}
	if !strings.HasSuffix(said, "\n") {
		fmt.Fprintln(out)
	}
}

func orNobody(holders []string) string {
	if len(holders) == 0 {
		return "nobody"
	}
	return strings.Join(holders, " and ")
}

func logsCommand(p *place) *cobra.Command {
	var last time.Duration
	c := &cobra.Command{
		Use: "logs", Short: "what was done to the lab and what the daemons logged, in one story", Args: cobra.NoArgs,
		Example: "  solevip-lab logs --last 30s",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			now := time.Now()
			events, err := l.Timeline(lab.Report{From: now.Add(-last), To: now})
			if err != nil {
				return err
			}
			for _, e := range events {
				fmt.Fprintf(c.OutOrStdout(), "%s  %-6s %s\n", e.At.Local().Format("15:04:05.000"), e.Who, e.Text)
			}
			return nil
		},
	}
	c.Flags().DurationVar(&last, "last", 24*time.Hour, "how far back")
	return c
}

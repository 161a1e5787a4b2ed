package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

const watchUsage = `watch prints a line whenever something changes, until it is interrupted; with -o json, a whole
status per line.

  solevip watch
  solevip watch -o json | jq -r '.groups[].holder'`

func newWatch() *cobra.Command {
	c := &cobra.Command{Use: "watch", Short: "print every change", Long: watchUsage, Args: exactly()}
	f := addClientFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		lines := json.NewEncoder(out)
		last := map[string]string{}
		return f.api().Watch(c.Context(), func(s api.Status) error {
			if f.json() {
				return lines.Encode(s)
			}
			at := time.Now().Format("15:04:05.000")
			for key, text := range changes(s) {
				if last[key] == text {
					continue
				}
				last[key] = text
				if _, err := fmt.Fprintf(out, "%s  %s\n", at, text); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return c
}

// changes are the lines that a status stands for, each under what it is about, in order.
func changes(s api.Status) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		if !yield("ledger", ledgerWords(s)) {
			return
		}
		for _, g := range s.Groups {
			text := fmt.Sprintf("%s: held by %s, epoch %d; %s is %s: %s", g.Name, dash(g.Holder), g.Epoch, s.Node, g.Role, g.Reason)
			if !yield("group "+g.Name, text) {
				return
			}
		}
		for _, n := range s.Nodes {
			if !yield("node "+n.Name, fmt.Sprintf("%s: %s, fence path %s", n.Name, state(n), path(n.FencePathOK))) {
				return
			}
		}
		for _, x := range s.Fences {
			text := fmt.Sprintf("fence of %s by %s, epoch %d: %s %s (%s)", x.Target, x.By, x.Epoch, dash(x.Outcome), x.Evidence, dash(x.Method))
			if !yield("fence "+x.At+x.Target, text) {
				return
			}
		}
		for _, text := range s.Warnings {
			if !yield("warning "+text, "warning: "+text) {
				return
			}
		}
	}
}

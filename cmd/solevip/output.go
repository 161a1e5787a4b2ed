package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/config"
)

// client is a client of the daemon whose run directory the flags name.
type client struct {
	runDir string
	output string
}

// addClientFlags gives a verb the flags that every question to the daemon has.
func addClientFlags(c *cobra.Command) *client {
	f := &client{}
	c.Flags().StringVar(&f.runDir, "run-dir", defaultRunDir, "run directory of the daemon to ask")
	addOutputFlag(c, &f.output)
	return f
}

func addOutputFlag(c *cobra.Command, to *string) {
	c.Flags().StringVarP(to, "output", "o", "text", "output format: text or json")
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if *to != "text" && *to != "json" {
			return usage{hint{fmt.Errorf("unknown output format %q", *to), "write -o text or -o json"}}
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}

func (f *client) json() bool       { return f.output == "json" }
func (f *client) api() *api.Client { return api.NewClient(f.runDir) }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows with aligned columns.
func table(w io.Writer, rows ...[]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// complain writes an error and what to do about it.
func complain(w io.Writer, err error) {
	if bad, ok := errors.AsType[config.Errors](err); ok {
		for _, p := range bad {
			fmt.Fprintln(w, p.String())
		}
		fmt.Fprintf(w, "solevip: error: %s in the configuration\n", count(len(bad), "mistake"))
		return
	}
	fmt.Fprintf(w, "solevip: error: %v\n", err)
	if h, ok := errors.AsType[hint](err); ok {
		fmt.Fprintf(w, "solevip: hint: %s\n", h.text)
	} else if e, ok := errors.AsType[*api.Error](err); ok && e.Hint != "" {
		fmt.Fprintf(w, "solevip: hint: %s\n", e.Hint)
	} else if errors.Is(err, os.ErrPermission) {
		fmt.Fprintln(w, "solevip: hint: ask as root; the control socket is root's")
	} else if errors.Is(err, api.ErrNoDaemon) {
		fmt.Fprintln(w, "solevip: hint: start it with solevip run, or name its run directory with --run-dir")
	}
}

// count is "1 group" or "2 groups".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

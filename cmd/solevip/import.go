package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/keepalived"
)

const importUsage = `import reads the keepalived configuration of one router or of several, and writes one file for
solevip with the same virtual routers, as groups with protection: vrrp. What became of each line (mapped, changed,
dropped, unknown) is told on standard error, with file and line.

  solevip import /etc/keepalived/keepalived.conf
  solevip import lb1/keepalived.conf lb2/keepalived.conf -f solevip.yaml

A file with conditional lines (@main ...) becomes a node for each of its ids; to choose one, write ID=FILE:

  solevip import main=keepalived.conf backup=keepalived.conf`

func newImport() *cobra.Command {
	c := &cobra.Command{Use: "import [ID=]FILE...", Short: "make a configuration of keepalived's", Long: importUsage}
	file := c.Flags().StringP("file", "f", "", "write the configuration to this file, not to standard output")
	force := c.Flags().Bool("force", false, "replace the file if it is there")
	var output string
	addOutputFlag(c, &output)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage{hint{fmt.Errorf("%s needs keepalived's configuration", c.CommandPath()), "such as /etc/keepalived/keepalived.conf; see solevip import --help"}}
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		o := keepalived.Options{}
		if host, err := nodeName(""); err == nil {
			o.Host = host
		}
		res, err := keepalived.Import(importSources(args), o)
		if output != "json" || err != nil {
			reportImport(c.ErrOrStderr(), res)
		}
		if errors.Is(err, keepalived.ErrNothing) {
			err = hint{err, "solevip moves IPv4 addresses of vrrp_instance blocks; what was found instead is told above"}
		}
		if err != nil {
			return err
		}
		switch {
		case *file != "":
			err = writeNew(*file, res.File, *force)
		case output != "json":
			_, err = c.OutOrStdout().Write(res.File)
		}
		if err == nil && output == "json" {
			err = printJSON(c.OutOrStdout(), map[string]any{"configuration": string(res.File), "notes": res.Notes})
		}
		return err
	}
	return c
}

// importSources are the arguments: a file, or ID=FILE unless a file of that very name is there.
func importSources(args []string) []keepalived.Source {
	var out []keepalived.Source
	for _, a := range args {
		s := keepalived.Source{Path: a}
		id, path, cut := strings.Cut(a, "=")
		if _, err := os.Stat(a); cut && err != nil && id != "" && !strings.Contains(id, "/") {
			s = keepalived.Source{Path: path, ID: id}
		}
		out = append(out, s)
	}
	return out
}

func reportImport(w io.Writer, res keepalived.Result) {
	count := map[keepalived.Fate]int{}
	for _, n := range res.Notes {
		fmt.Fprintln(w, n)
		count[n.Fate]++
	}
	fmt.Fprintf(w, "solevip: %d mapped, %d changed, %d dropped, %d unknown\n",
		count[keepalived.Mapped], count[keepalived.Changed], count[keepalived.Dropped], count[keepalived.Unknown])
}

// writeNew writes a file that isn't there yet, or replaces it when it may.
func writeNew(path string, b []byte, replace bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return hint{fmt.Errorf("%s is there already", path), "choose another name, or replace it with --force"}
	} else if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

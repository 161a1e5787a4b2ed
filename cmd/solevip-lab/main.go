//go:build linux

// Command solevip-lab runs a cluster in network namespaces on one machine: to see solevip work,
// to break things, and to compare. It is a front to package test/lab, which owns all of that.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/test/lab"
)

const about = `A cluster in network namespaces on this machine: members db1 and db2, the arbiter arb, a client,
and a simulated BMC for each member that really cuts its power. It needs root, ipmi_sim (Debian
package openipmi) and nft (package nftables); nothing outside the namespaces is touched.

  solevip-lab up                   start it: db1 and db2 share 10.77.0.50
  solevip-lab status               who holds the address, and what the daemons say
  solevip-lab power-off db1        pull a machine's plug
  solevip-lab logs                 what happened, all in one story
  solevip-lab down                 remove everything

  solevip-lab demo                 all of it in two minutes, with keepalived beside it`

// exitCode is an error that has been told already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "solevip-lab: error:", err)
		os.Exit(1)
	}
}

// place says which lab is meant; there may be several.
type place struct{ name, dir string }

func (p place) open() (*lab.Lab, error) { return lab.Open(p.directory()) }

func (p place) directory() string {
	if p.dir != "" {
		return p.dir
	}
	return filepath.Join(lab.DefaultRoot, p.name)
}

func command() *cobra.Command {
	var p place
	root := &cobra.Command{
		Use: "solevip-lab", Short: "a cluster in network namespaces, to try and to break", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&p.name, "name", "lab", "which lab, when there are several")
	root.PersistentFlags().StringVar(&p.dir, "dir", "", "where the lab keeps its files (default "+lab.DefaultRoot+"/NAME)")
	root.AddCommand(upCommand(&p), downCommand(&p), statusCommand(&p), logsCommand(&p), switchoverCommand(&p))
	root.AddCommand(machineCommands(&p)...)
	root.AddCommand(cutCommand(&p), healCommand(&p), bmcCommand(&p))
	root.AddCommand(demoCommand(), chassisCommand(&p), pduCommand(&p))
	return root
}

// Command solevip is the virtual-IP manager: the daemon of a node (run) and what operators ask of
// it (status, watch, switchover, fence, cluster, check, import, cert, version).
//
// It reads flags, translates the file to each package's options, wires the parts, and returns an
// exit code. Results go to standard output, talk to standard error; an error says what to do next.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
)

// Exit codes besides those of status, which package api lists.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = api.ExitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// exit is an error that stands for an exit code; what there is to say was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage is a mistake in the command line.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// hint is an error with what to do about it.
type hint struct {
	error
	text string
}

func (h hint) Unwrap() error { return h.error }

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	complain(root.ErrOrStderr(), err)
	if _, ok := errors.AsType[usage](err); ok {
		return exitUsage
	}
	return exitFailed
}

const rootUsage = `solevip keeps a virtual IP on exactly one node: a lease that a majority agreed on, and proof
that the former holder is harmless, before the address comes up anywhere else.

On every node:
  solevip check -c /etc/solevip/solevip.yaml
  solevip run   -c /etc/solevip/solevip.yaml

On any node, as an operator:
  solevip status
  solevip switchover mysql --to db2
  solevip fence test db1

Exit codes: 0 done, 1 failed, 3 wrong usage; those of status are in its own help.`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "solevip", Short: "a virtual-IP manager for services that must never run twice", Long: rootUsage,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", args[0]), "see solevip --help"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{hint{err, "see " + c.CommandPath() + " --help"}}
	})
	root.AddCommand(newRun(), newStatus(), newWatch(), newSwitchover(), newFence(), newMaintenance(), newCluster(), newLedger(), newCheck(), newImport(), newCert(), newVersion())
	return root
}

// exactly is cobra.ExactArgs with the usage's exit code and names for what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage{hint{fmt.Errorf("%s needs %s", c.CommandPath(), names[len(args)]), "see " + c.CommandPath() + " --help"}}
		case len(args) > len(names):
			return usage{hint{fmt.Errorf("%s does not take %q", c.CommandPath(), args[len(names)]), "see " + c.CommandPath() + " --help"}}
		}
		return nil
	}
}

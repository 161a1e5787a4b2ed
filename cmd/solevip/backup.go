package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/daemon"
	"github.com/solevip/solevip/raftnode"
)

func newLedgerExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export", Short: "write a backup of the ledger to standard output", Args: exactly(),
		Long: "export writes the ledger, as a majority agrees on it now, to standard output as JSON.\n\n  solevip ledger export > ledger.json",
	}
	stale := c.Flags().Bool("stale", false, "without a quorum: what this node saw last")
	runDir := c.Flags().String("run-dir", defaultRunDir, "run directory of the daemon to ask")
	c.RunE = func(c *cobra.Command, _ []string) error {
		b, err := api.NewClient(*runDir).LedgerExport(c.Context(), *stale)
		if err != nil {
			return err
		}
		if !b.Current {
			fmt.Fprintln(c.ErrOrStderr(), "solevip: warning: without a quorum this is only what the node saw last")
		}
		return printJSON(c.OutOrStdout(), b)
	}
	return c
}

const ledgerImportUsage = `import makes this node the first of a new generation of the embedded ledger, from a backup. It is
for a ledger that has lost its majority for good: two of three disks, say. While two of three are
well, nothing needs it: a lost disk is replaced by itself.

  solevip ledger import ledger.json -c /etc/solevip/solevip.yaml
  solevip ledger import ledger.json --off db2 --yes-i-mean orders      (in scripts)

Stop the daemons of all nodes first. Whoever held a group becomes its suspect: it is freed by its own
word, by a new boot, or by a fence. Epochs jump ahead. The new ledger agrees to nothing until a
majority of the nodes was taken into it.`

type ledgerImportFlags struct {
	config, node, stateDir, sure string
	off                          []string
}

func newLedgerImport() *cobra.Command {
	c := &cobra.Command{Use: "import FILE", Short: "begin the ledger anew from a backup, on one node", Long: ledgerImportUsage, Args: exactly("FILE")}
	var f ledgerImportFlags
	c.Flags().StringVarP(&f.config, "config", "c", defaultConfig, "configuration file")
	c.Flags().StringVar(&f.node, "node", "", "this node's name in the file")
	c.Flags().StringVar(&f.stateDir, "state-dir", defaultStateDir, "the node's state directory")
	c.Flags().StringSliceVar(&f.off, "off", nil, "a node that is not reached, and is known to have no power")
	c.Flags().StringVar(&f.sure, "yes-i-mean", "", "the cluster's name, instead of typing it when asked")
	c.RunE = func(c *cobra.Command, args []string) error {
		return importLedger(c.Context(), f, args[0], c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

func importLedger(ctx context.Context, f ledgerImportFlags, file string, in io.Reader, out, talk io.Writer) error {
	node, err := nodeName(f.node)
	if err != nil {
		return err
	}
	conf, err := config.Load(f.config, config.Options{Node: node})
	if err != nil {
		return err
	}
	if conf.Ledger.Backend != "raft" {
		return hint{fmt.Errorf("the ledger is kept by %s", conf.Ledger.Backend), "restore it with its own tools, then solevip ledger confirm"}
	}
	b, r, err := readBackup(file, conf.Cluster.Name)
	if err != nil {
		return err
	}
	unlock, err := daemon.Lock(f.stateDir)
	if err != nil {
		return hint{err, "stop the daemons of all nodes first"}
	}
	err = othersSilent(ctx, conf, node, f.off)
	if err == nil {
		err = sureOfImport(f.sure, conf.Cluster.Name, b, in, talk)
	}
	if err != nil {
		return errors.Join(err, unlock())
	}
	former, err := raftnode.Import(f.stateDir, node, conf.Cluster.Name, arbiter.Restored(r))
	if err = errors.Join(err, unlock()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s begins the ledger of %s anew, from the backup of %s\n", node, conf.Cluster.Name, b.At)
	if former != "" {
		fmt.Fprintf(out, "its former ledger is in %s\n", former)
	}
	fmt.Fprintf(out, "next: start the daemon here; on each other node move %s/raft away and start the daemon; then solevip cluster add NODE for each\n", f.stateDir)
	return nil
}

// readBackup reads a backup strictly: half a ledger would free what is held.
func readBackup(file, cluster string) (api.LedgerBackup, arbiter.Record, error) {
	var b api.LedgerBackup
	var r arbiter.Record
	raw, err := os.ReadFile(file)
	if err == nil {
		err = strictly(raw, &b)
	}
	switch {
	case err != nil:
		return b, r, hint{fmt.Errorf("backup %s: %w", file, err), "give a file that solevip ledger export wrote"}
	case b.Format != api.BackupFormat:
		return b, r, hint{fmt.Errorf("backup %s has format %d, and this version reads %d", file, b.Format, api.BackupFormat), "use the release that wrote it, or newer"}
	case b.Cluster != cluster:
		return b, r, hint{fmt.Errorf("backup %s is of cluster %q, and the file's is %q", file, b.Cluster, cluster), "give the backup of this cluster"}
	}
	if err := strictly(b.Record, &r); err != nil {
		return b, r, hint{fmt.Errorf("backup %s: its record: %w", file, err), "give a file that solevip ledger export wrote"}
	}
	return b, r, nil
}

func strictly(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// othersSilent refuses while any other node's daemon runs, or isn't known not to: a machine that
// answers "connection refused" has none, one that doesn't answer must be attested to be off.
func othersSilent(ctx context.Context, conf config.Config, self string, off []string) error {
	for _, name := range off {
		if _, known := conf.Node(name); !known || name == self {
			return usage{hint{fmt.Errorf("--off %s: no other node has this name", name), "give the names of nodes that have no power"}}
		}
	}
	for _, n := range conf.Cluster.Nodes {
		if n.Name == self {
			continue
		}
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(n.Address, conf.Cluster.Port).String())
		switch {
		case err == nil:
			c.Close() // it was the answer that counted
			return hint{fmt.Errorf("the daemon of %s runs", n.Name), "stop the daemons of all nodes first; a ledger that has a quorum needs no import"}
		case errors.Is(err, syscall.ECONNREFUSED), slices.Contains(off, n.Name):
		default:
			return hint{fmt.Errorf("%s is not reached, so it may still act: %w", n.Name, err), "see that it has no power, then add --off " + n.Name}
		}
	}
	return nil
}

// sureOfImport has the operator type the cluster's name: nobody can see whether the disks of stopped
// nodes would still make a majority.
func sureOfImport(typed, cluster string, b api.LedgerBackup, in io.Reader, talk io.Writer) error {
	if typed == "" {
		fmt.Fprintf(talk, "The ledger of %s will begin anew from the backup of %s; what was agreed since is lost. This is right\nonly when the disks of most nodes are lost for good. Type the cluster's name: ", cluster, b.At)
		var err error
		if typed, err = bufio.NewReader(in).ReadString('\n'); err != nil && typed == "" {
			return hint{errors.New("nothing was typed: nothing was imported"), "in scripts: --yes-i-mean " + cluster}
		}
	}
	if typed = strings.TrimSpace(typed); typed != cluster {
		return usage{hint{fmt.Errorf("%q is not %q: nothing was imported", typed, cluster), "type the cluster's name exactly"}}
	}
	return nil
}

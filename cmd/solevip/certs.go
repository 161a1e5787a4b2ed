package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/cert"
)

const certUsage = `cert makes the certificates with which the nodes know each other: an authority once, then one
certificate for each node. Copy ca.crt and the node's own two files to the node, and keep ca.key
away from all of them.

  solevip cert init --dir ./pki --cluster orders
  solevip cert issue db1 --dir ./pki
  solevip cert issue db2 --dir ./pki
  solevip cert issue arb --dir ./pki

With --cluster it admits a node of another cluster, that has its ledger with this authority's nodes
as remote arbiters: the files go to DIR/CLUSTER.

  solevip cert issue db1 --dir ./pki --cluster shop`

func newCert() *cobra.Command {
	c := &cobra.Command{
		Use: "cert", Short: "make the cluster's certificates", Long: certUsage,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{hint{fmt.Errorf("unknown command %q", "cert "+args[0]), "see solevip cert --help"}}
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(newCertInit(), newCertIssue())
	return c
}

func newCertInit() *cobra.Command {
	c := &cobra.Command{Use: "init", Short: "make the cluster's authority", Long: certUsage, Args: exactly()}
	dir := c.Flags().String("dir", ".", "directory for the authority's files")
	cluster := c.Flags().String("cluster", "", "the cluster's name (required)")
	var output string
	addOutputFlag(c, &output)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *cluster == "" {
			return usage{hint{fmt.Errorf("cert init needs the cluster's name"), "the one in the file: --cluster orders"}}
		}
		files, err := cert.Init(*dir, *cluster)
		return told(c, output, files, err)
	}
	return c
}

func newCertIssue() *cobra.Command {
	c := &cobra.Command{Use: "issue NODE", Short: "make a node's certificate", Long: certUsage, Args: exactly("NODE")}
	dir := c.Flags().String("dir", ".", "directory with the authority's files")
	cluster := c.Flags().String("cluster", "", "another cluster, whose node is admitted to its ledger here")
	addresses := c.Flags().StringSlice("address", nil, "further IP address or DNS name of the node")
	var output string
	addOutputFlag(c, &output)
	c.RunE = func(c *cobra.Command, args []string) error {
		if *cluster != "" {
			if len(*addresses) > 0 {
				return usage{hint{fmt.Errorf("--address and --cluster exclude each other"), "nobody connects to a node of another cluster: leave --address out"}}
			}
			files, err := cert.Admit(*dir, *cluster, args[0])
			return told(c, output, files, err)
		}
		files, err := cert.Issue(*dir, args[0], *addresses...)
		return told(c, output, files, err)
	}
	return c
}

// told prints the files that were made.
func told(c *cobra.Command, output string, f cert.Files, err error) error {
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(c.OutOrStdout(), map[string]string{"ca": f.CA, "cert": f.Cert, "key": f.Key})
	}
	for _, path := range []string{f.CA, f.Cert, f.Key} {
		if path != "" {
			fmt.Fprintln(c.OutOrStdout(), path)
		}
	}
	return nil
}

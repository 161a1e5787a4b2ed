//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/test/lab"
)

// settle is how long a cluster may take to come up before we say that it doesn't.
const settle = 30 * time.Second

// flags of the commands that make a lab.
type flags struct {
	bin, protection, program string
	ttl, advert              time.Duration
	pdu                      bool
}

func (f *flags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.bin, "bin", "", "the solevip binary (default: beside solevip-lab, else in PATH)")
	c.Flags().DurationVar(&f.ttl, "ttl", 3*time.Second, "how long a lease lasts")
	c.Flags().StringVar(&f.protection, "protection", "fence", "what is needed before a claim: vrrp, lease or fence")
	c.Flags().DurationVar(&f.advert, "advert", time.Second, "keepalived's advertisement interval")
	c.Flags().BoolVar(&f.pdu, "pdu", false, "give each member a power strip as the second level of fencing")
}

// options finds the binaries. The lab's own is what its BMCs call to switch power.
func (f *flags) options(p *place, program string) (lab.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return lab.Options{}, err
	}
	o := lab.Options{Name: p.name, Dir: p.directory(), Program: program, Switch: []string{self},
		TTL: f.ttl, Advert: f.advert, Protection: f.protection, PDU: f.pdu}
	if program == lab.Solevip {
		o.Binary, err = f.binary(self)
	}
	return o, err
}

func (f *flags) binary(self string) (string, error) {
	if f.bin != "" {
		path, err := filepath.Abs(f.bin)
		if err == nil {
			_, err = exec.LookPath(path)
		}
		return path, err
	}
	beside := filepath.Join(filepath.Dir(self), "solevip")
	if path, err := exec.LookPath(beside); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("solevip")
	if err != nil {
		return "", errors.New("no solevip beside solevip-lab or in PATH: build it, or say where it is with --bin")
	}
	return filepath.Abs(path)
}

func upCommand(p *place) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "up", Short: "start a cluster", Args: cobra.NoArgs,
		Example: "  solevip-lab up\n  solevip-lab up --ttl 1.5s --protection lease\n  solevip-lab up --name ka --program keepalived",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options(p, f.program)
			if err != nil {
				return err
			}
			return up(c, o)
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.program, "program", lab.Solevip, "the daemon to run: solevip or keepalived")
	return c
}

func up(c *cobra.Command, o lab.Options) error {
	l, err := lab.Create(c.Context(), o)
	if errors.Is(err, lab.ErrExists) {
		return fmt.Errorf("%w: look at it with `solevip-lab status`, or remove it with `solevip-lab down`", err)
	}
	if err != nil {
		return err
	}
	if err := l.Up(); err != nil {
		return errors.Join(err, l.Destroy())
	}
	holder, err := firstHolder(c.Context(), l)
	if err != nil {
		return fmt.Errorf("the machines run, but nobody answers for %s (%w): see `solevip-lab logs`", lab.VIP, err)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s answers for %s\n\n", holder, lab.VIP)
	fmt.Fprintf(c.OutOrStdout(), "  log in:      ip netns exec %s bash\n", l.Namespace(holder))
	fmt.Fprintf(c.OutOrStdout(), "  the client:  ip netns exec %s ping %s\n", l.Namespace("client"), lab.VIP)
	fmt.Fprintf(c.OutOrStdout(), "  break it:    solevip-lab power-off %s\n", holder)
	return nil
}

func firstHolder(ctx context.Context, l *lab.Lab) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settle, fmt.Errorf("after %v", settle))
	defer cancel()
	o, err := l.Observe(ctx, 0)
	if err != nil {
		return "", err
	}
	holder, err := o.AwaitHolder(ctx, "")
	return holder, errors.Join(err, o.Stop())
}

func downCommand(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "remove a cluster and all that belongs to it, also after a crash", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return lab.Remove(lab.Options{Name: p.name, Dir: p.directory()}) },
	}
}

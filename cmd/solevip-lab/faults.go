//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/test/lab"
)

// machineCommands do something to one machine.
func machineCommands(p *place) []*cobra.Command {
	var leftover bool
	on := machineCommand(p, "power-on NODE", "boot a machine", func(c *cobra.Command, l *lab.Lab, node string) error {
		if leftover {
			return l.PowerOnWithLeftover(c.Context(), node)
		}
		return l.PowerOn(node)
	})
	on.Flags().BoolVar(&leftover, "leftover", false, "its distribution still configures the VIP: the daemon must sweep it away")
	return []*cobra.Command{
		on,
		machineCommand(p, "power-off NODE", "pull a machine's plug",
			func(_ *cobra.Command, l *lab.Lab, node string) error { return l.PowerOff(node) }),
		machineCommand(p, "kill NODE", "kill the daemon with SIGKILL; its kernel lives on",
			func(_ *cobra.Command, l *lab.Lab, node string) error { return l.Kill(node) }),
		machineCommand(p, "freeze NODE", "stop the daemon in its tracks (SIGSTOP); its kernel lives on",
			func(_ *cobra.Command, l *lab.Lab, node string) error { return l.Freeze(node) }),
		machineCommand(p, "thaw NODE", "let a frozen daemon go on",
			func(_ *cobra.Command, l *lab.Lab, node string) error { return l.Thaw(node) }),
		machineCommand(p, "stop NODE", "stop the daemon as an operator does (SIGTERM)",
			func(c *cobra.Command, l *lab.Lab, node string) error { return l.Stop(c.Context(), node) }),
		machineCommand(p, "start NODE", "start a daemon that was killed or stopped, on the same boot",
			func(_ *cobra.Command, l *lab.Lab, node string) error { return l.Start(node) }),
	}
}

func machineCommand(p *place, use, short string, do func(*cobra.Command, *lab.Lab, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			return do(c, l, args[0])
		},
	}
}

func switchoverCommand(p *place) *cobra.Command {
	return machineCommand(p, "switchover NODE", "move the VIP to a member, as planned",
		func(c *cobra.Command, l *lab.Lab, node string) error { return l.Switchover(c.Context(), node) })
}

// cutting are the flags that say what a cut or a heal is about.
type cutting struct{ oneWay, peers, vrrp bool }

func (k *cutting) register(c *cobra.Command) {
	c.Flags().BoolVar(&k.oneWay, "one-way", false, "only what the first sends to the second")
	c.Flags().BoolVar(&k.peers, "peers", false, "between NODE and the other machines; clients and BMCs still reach it")
	c.Flags().BoolVar(&k.vrrp, "vrrp", false, "VRRP (IP protocol 112), everywhere")
}

func (k *cutting) cuts(args []string) ([]lab.Cut, error) {
	switch {
	case k.vrrp && len(args) == 0:
		return lab.NoVRRP(), nil
	case k.peers && len(args) == 1:
		return lab.FromPeers(args[0]), nil
	case k.oneWay && len(args) == 2:
		return lab.OneWay(args[0], args[1]), nil
	case k.oneWay || k.peers || k.vrrp:
		return nil, errors.New("say what: A B --one-way, NODE --peers, or --vrrp")
	case len(args) == 1:
		return lab.FromAll(args[0]), nil
	case len(args) == 2:
		return lab.Between(args[0], args[1]), nil
	}
	return nil, errors.New("say what to cut: A B, A B --one-way, NODE --peers, A, or --vrrp")
}

func cutCommand(p *place) *cobra.Command {
	var k cutting
	c := &cobra.Command{
		Use: "cut [A [B]]", Short: "cut cables of the switch", Args: cobra.MaximumNArgs(2),
		Long: "Cut cables of the switch. Its ports are db1, db2, arb, client, db1-bmc and db2-bmc.",
		Example: "  solevip-lab cut db1 db2             both directions between the members\n" +
			"  solevip-lab cut db1 db2 --one-way   what db1 sends to db2\n" +
			"  solevip-lab cut db1 --peers         db1 from the other machines, not from the client\n" +
			"  solevip-lab cut db1-bmc             db1's BMC from everything\n" +
			"  solevip-lab cut --vrrp              VRRP everywhere, as a firewall does",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			cuts, err := k.cuts(args)
			if err != nil {
				return err
			}
			return l.Cut(cuts...)
		},
	}
	k.register(c)
	return c
}

func healCommand(p *place) *cobra.Command {
	var k cutting
	c := &cobra.Command{
		Use: "heal [A [B]]", Short: "mend cables: those named as for cut, or all", Args: cobra.MaximumNArgs(2),
		Example: "  solevip-lab heal\n  solevip-lab heal db1 db2",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			if len(args) == 0 && k == (cutting{}) {
				return l.Heal()
			}
			cuts, err := k.cuts(args)
			if err != nil {
				return err
			}
			return l.Heal(cuts...)
		},
	}
	k.register(c)
	return c
}

func bmcCommand(p *place) *cobra.Command {
	var slow time.Duration
	c := &cobra.Command{
		Use: "bmc NODE stuck|refuse|slow|freeze|heal", Short: "break a member's BMC", Args: cobra.ExactArgs(2),
		Long: "Break a member's BMC: stuck says yes and does nothing, refuse says no, slow takes its time\n" +
			"(--by), freeze is dead to the outside. Cutting its cable is `solevip-lab cut NODE-bmc`.",
		Example: "  solevip-lab bmc db1 stuck\n  solevip-lab bmc db1 heal",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			return breakBMC(l, args[0], args[1], slow)
		},
	}
	c.Flags().DurationVar(&slow, "by", 3*time.Second, "how slow")
	return c
}

func breakBMC(l *lab.Lab, node, how string, slow time.Duration) error {
	b, err := l.BMC(node)
	if err != nil {
		return err
	}
	switch how {
	case "stuck":
		return b.Stuck(true)
	case "refuse":
		return b.Refuse(true)
	case "slow":
		return b.Slow(slow)
	case "freeze":
		return b.Freeze()
	case "heal":
		return errors.Join(b.Stuck(false), b.Refuse(false), b.Slow(0), b.Thaw())
	}
	return fmt.Errorf("BMC fault %q: there are stuck, refuse, slow, freeze and heal", how)
}

// chassisCommand and pduCommand are what the BMCs and the power strip call.
func chassisCommand(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "chassis NODE get power | set power 0|1", Hidden: true, Args: cobra.MinimumNArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			return l.Chassis(c.OutOrStdout(), args)
		},
	}
}

func pduCommand(p *place) *cobra.Command {
	return &cobra.Command{
		Use: "pdu NODE off|on|status", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := p.open()
			if err != nil {
				return err
			}
			code, err := l.Strip(args)
			if err == nil && code != 0 {
				return exitCode(code)
			}
			return err
		},
	}
}

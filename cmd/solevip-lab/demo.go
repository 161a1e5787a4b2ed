//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/solevip/solevip/test/lab"
)

// Names of the demo's labs. A demo that was killed leaves some; the next one removes them.
const (
	demoName    = "demo"
	demoRivalID = "demo-ka"
)

// faults are the chapters of the story.
var faults = []lab.Fault{lab.Crash, lab.SwitchedOver, lab.Stopped, lab.Killed, lab.Frozen, lab.Firewalled}

// patience bounds one fault with its mending; none should need a tenth of it.
const patience = 90 * time.Second

// watch is how long each fault lasts at least: long enough for keepalived to react to all of them.
const watch = 6 * time.Second

func demoCommand() *cobra.Command {
	var f flags
	var only string
	c := &cobra.Command{
		Use: "demo", Short: "break a cluster in six ways, then do the same to keepalived", Args: cobra.NoArgs,
		Long: "Break a cluster in six ways, then do the same to keepalived, and compare. It takes two minutes and\n" +
			"leaves nothing behind, also when it is interrupted.",
		Example: "  solevip-lab demo\n  solevip-lab demo --ttl 1.5s --only solevip",
		RunE: func(c *cobra.Command, _ []string) error {
			d := &demo{out: c.OutOrStdout(), flags: f}
			return d.run(c.Context(), only)
		},
	}
	f.register(c)
	c.Flags().StringVar(&only, "only", "", "one half of it: solevip or keepalived")
	return c
}

type demo struct {
	out    io.Writer
	flags  flags
	ours   []lab.Result
	theirs []lab.Result
	sizes  sizes
}

// sizes are what the daemon costs.
type sizes struct{ binary, memory int64 } // bytes

func (d *demo) run(ctx context.Context, only string) error {
	switch only {
	case "", lab.Solevip, lab.Keepalived:
	default:
		return fmt.Errorf("--only %s: there are solevip and keepalived", only)
	}
	if only != lab.Keepalived {
		ours, err := d.flags.options(&place{name: demoName}, lab.Solevip)
		if err != nil {
			return err
		}
		d.intro()
		if err := d.play(ctx, ours, d.solevip); err != nil {
			return err
		}
	}
	if only != lab.Solevip {
		if err := d.comparison(ctx); err != nil {
			return err
		}
	}
	d.table()
	return nil
}

func (d *demo) comparison(ctx context.Context) error {
	if err := lab.Available(lab.Keepalived); err != nil {
		fmt.Fprintf(d.out, "\nThe comparison is left out: %v\n", err)
		return nil
	}
	theirs, err := d.flags.options(&place{name: demoRivalID}, lab.Keepalived)
	if err != nil {
		return err
	}
	return d.play(ctx, theirs, d.keepalived)
}

// play gives a scene its lab and its judge, and takes them away again whatever happens.
func (d *demo) play(ctx context.Context, o lab.Options, scene func(context.Context, *lab.Lab, *lab.Observer) error) (err error) {
	lab.Remove(o) // of a demo that was killed; an error is that there is none
	l, err := lab.Create(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.lastWords(l)
		}
		if clean := l.Destroy(); clean != nil {
			err = errors.Join(err, fmt.Errorf("clean up: %w", clean))
		}
	}()
	watcher, err := l.Observe(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watcher.Stop()) }()
	if err := l.Up(); err != nil {
		return err
	}
	if err := d.settled(ctx, l, watcher); err != nil {
		return err
	}
	return scene(ctx, l, watcher)
}

func (d *demo) settled(ctx context.Context, l *lab.Lab, o *lab.Observer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settle, fmt.Errorf("nobody answers for %s after %v", lab.VIP, settle))
	defer cancel()
	want := ""
	if l.Program == lab.Keepalived {
		want = lab.Nodes[0].Name // the higher priority takes over whoever was first
	}
	if _, err := o.AwaitHolder(ctx, want); err != nil {
		return err
	}
	if l.Program == lab.Keepalived {
		return nil
	}
	return l.AwaitWhole(ctx)
}

// fault inflicts one, and mends it.
func (d *demo) fault(ctx context.Context, l *lab.Lab, o *lab.Observer, f lab.Fault, told func(lab.Result)) (lab.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took more than %v", patience))
	defer cancel()
	least := watch
	if f.Planned || f.Name == lab.Crash.Name {
		least = 0
	}
	r, err := l.Play(ctx, o, f, least)
	if err != nil {
		return r, err
	}
	told(r)
	return r, l.Mend(ctx, o, r)
}

func (d *demo) solevip(ctx context.Context, l *lab.Lab, o *lab.Observer) error {
	if err := d.started(ctx, l); err != nil {
		return err
	}
	for i, f := range faults {
		d.chapter(i+2, f)
		r, err := d.fault(ctx, l, o, f, func(r lab.Result) { d.story(ctx, l, r) })
		if err != nil {
			return err
		}
		d.ours = append(d.ours, r)
	}
	return nil
}

func (d *demo) keepalived(ctx context.Context, l *lab.Lab, o *lab.Observer) error {
	fmt.Fprintf(d.out, "\nNow keepalived on db1 and db2, advertisements every %v, the same faults\n\n", l.Advert)
	for _, f := range faults {
		if f.Name == lab.SwitchedOver.Name {
			continue // it has no such verb
		}
		r, err := d.fault(ctx, l, o, f, func(r lab.Result) {
			fmt.Fprintf(d.out, "   %-26s no answer for %s, two holders for %s of %s\n", f.Name+":",
				lab.Milliseconds(r.Outage.Length()), lab.Milliseconds(r.TwoHolders), lab.Milliseconds(r.To.Sub(r.From)))
		})
		if err != nil {
			return err
		}
		d.theirs = append(d.theirs, r)
	}
	return nil
}

// started introduces the cluster that came up.
func (d *demo) started(ctx context.Context, l *lab.Lab) error {
	s, err := l.Status(ctx, lab.Nodes[0].Name)
	if err != nil {
		return err
	}
	g := lab.GroupOf(s)
	fmt.Fprintf(d.out, "1. It starts\n\n   %s holds %s at epoch %d (protection %s, lease %v); %s leads the ledger\n",
		g.Holder, lab.VIP, g.Epoch, g.Protection, l.TTL, s.Leader)
	d.sizes.memory, err = l.Memory(g.Holder)
	if err != nil {
		return err
	}
	st, err := os.Stat(l.Binary)
	if err != nil {
		return err
	}
	d.sizes.binary = st.Size()
	return nil
}

// Package script fences with a program of the operator's: any device that a shell can reach.
//
// It owns the contract: the program is run as `path args... off|on|status`, with SOLEVIP_TARGET,
// SOLEVIP_NODE, SOLEVIP_EPOCH and SOLEVIP_GROUP in a minimal environment. Exit status 0 means done, and
// for status, on; 2 from status means off; anything else is unknown. Its whole process group is
// killed when time is up, and what it left behind when it ends: no command may arrive late. It
// never runs `on`, which is in the contract for operators and for rehearsals.
package script

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/proc"
)

// statusOff is the exit status by which `status` says that power is off.
const statusOff = 2

// Options name a program.
type Options struct {
	Path    string // absolute
	Args    []string
	Timeout time.Duration // of one run; zero: only the caller's limit
}

// Device is a program that cuts and reads power.
type Device struct{ o Options }

// New checks the options; [Device.Check] looks at the program itself.
func New(o Options) (*Device, error) {
	switch {
	case o.Path == "":
		return nil, errors.New("script fence device: no path; name the program")
	case !filepath.IsAbs(o.Path):
		return nil, fmt.Errorf("script fence device: path %q isn't absolute; write it from the root", o.Path)
	case o.Timeout < 0:
		return nil, fmt.Errorf("script fence device: timeout %v; give a positive duration", o.Timeout)
	}
	return &Device{o}, nil
}

// Check refuses a program that can't be run, or that everybody may change.
func (d *Device) Check() error { return proc.Check(d.o.Path) }

// Name is "script" and the path.
func (d *Device) Name() string { return "script " + d.o.Path }

// Status asks the program, after [Device.Check].
func (d *Device) Status(ctx context.Context, s fence.Shot) (fence.PowerState, error) {
	if err := d.Check(); err != nil {
		return fence.PowerUnknown, err
	}
	res, err := d.run(ctx, s, "status")
	switch {
	case err != nil:
		return fence.PowerUnknown, err
	case res.Code == 0:
		return fence.PowerOn, nil
	case res.Code == statusOff:
		return fence.PowerOff, nil
	}
	return fence.PowerUnknown, failed(res)
}

// Off asks the program to cut the power.
func (d *Device) Off(ctx context.Context, s fence.Shot) error {
	res, err := d.run(ctx, s, "off")
	if err == nil && res.Code != 0 {
		err = failed(res)
	}
	return err
}

func (d *Device) run(ctx context.Context, s fence.Shot, action string) (proc.Result, error) {
	args := append(append([]string{}, d.o.Args...), action)
	return proc.Run(ctx, proc.Command{
		Path: d.o.Path,
		Args: args,
		Env: proc.Env(
			"SOLEVIP_TARGET="+s.Target,
			"SOLEVIP_NODE="+s.Node,
			"SOLEVIP_EPOCH="+strconv.FormatUint(s.Epoch, 10),
			"SOLEVIP_GROUP="+s.Group,
		),
		Timeout: d.o.Timeout,
	})
}

// failed is an exit status with the program's last word.
func failed(res proc.Result) error {
	if last := res.LastLine(); last != "" {
		return fmt.Errorf("exit status %d: %s", res.Code, last)
	}
	return fmt.Errorf("exit status %d", res.Code)
}

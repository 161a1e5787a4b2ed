//go:build linux

package lab

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Chassis is a BMC's power switch: `NODE get power` prints power:1 or power:0, `NODE set power
// 0|1` does it (package bmc).
func (l *Lab) Chassis(out io.Writer, args []string) error {
	closeInherited()
	switch {
	case len(args) == 3 && args[1] == "get" && args[2] == "power":
		on := 0
		if l.Powered(args[0]) {
			on = 1
		}
		_, err := fmt.Fprintf(out, "power:%d\n", on)
		return err
	case len(args) == 4 && args[1] == "set" && args[2] == "power":
		if args[3] == "0" {
			return l.powerOff(args[0], "power off "+args[0]+", told by its BMC")
		}
		return l.PowerOn(args[0])
	}
	return fmt.Errorf("power switch: %q isn't NODE get power | set power 0|1", args)
}

// Strip is a power strip, in the language of solevip's script devices: `NODE off|on|status`.
// The exit code is 0 for done or on, 2 for off.
func (l *Lab) Strip(args []string) (code int, err error) {
	closeInherited()
	if len(args) != 2 {
		return 1, fmt.Errorf("power strip: %q isn't NODE off|on|status", args)
	}
	switch node := args[0]; args[1] {
	case "off":
		return 0, l.powerOff(node, "power off "+node+", told by the power strip")
	case "on":
		return 0, l.PowerOn(node)
	case "status":
		if l.Powered(node) {
			return 0, nil
		}
		return 2, nil
	}
	return 1, fmt.Errorf("power strip: %q isn't NODE off|on|status", args)
}

// closeInherited keeps a daemon that is started by a BMC from inheriting the BMC's sockets:
// ipmi_sim doesn't mark them, and its port would stay taken.
func closeInherited() { unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) }

//go:build !linux

package conn

import (
	"errors"
	"runtime"
	"syscall"
)

// control refuses: the checks above rely on what Linux hands over with a raw packet.
func control(string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, _ syscall.RawConn) error {
		return errors.New("VRRP sockets need Linux, this is " + runtime.GOOS)
	}
}

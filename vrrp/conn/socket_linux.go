package conn

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// control prepares the socket before it is bound: packets of the one interface, of groups that were joined
// here, and room for a burst of them.
func control(device string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		outer := c.Control(func(fd uintptr) { err = prepare(int(fd), device) })
		if outer != nil {
			return outer
		}
		return err
	}
}

func prepare(fd int, device string) error {
	if err := unix.BindToDevice(fd, device); err != nil {
		return fmt.Errorf("bind to device %s: %w", device, err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0); err != nil {
		return fmt.Errorf("take no groups of others: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive) == nil {
		return nil
	}
	// Without CAP_NET_ADMIN net.core.rmem_max caps it, without an error.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive); err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	return nil
}

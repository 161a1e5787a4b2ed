package raftnode

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A peer that swallows packets is noticed by the kernel within deadPeer: unacknowledged data
// (TCP_USER_TIMEOUT, RFC 5482) and idle connections (keep-alive) alike.
const deadPeer = 2 * time.Second

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: 500 * time.Millisecond, Count: 3}

func userTimeout(_, _ string, c syscall.RawConn) error {
	var opt error
	err := c.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return opt
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive, Control: userTimeout}
	return d.DialContext(ctx, "tcp", address)
}

// listenTCP's option is inherited by the connections that it accepts.
func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	l := net.ListenConfig{KeepAliveConfig: keepAlive, Control: userTimeout}
	return l.Listen(ctx, "tcp", address)
}

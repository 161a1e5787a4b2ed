package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Requests of linux/sock_diag.h and the layout of linux/inet_diag.h, in bytes.
const (
	diagByFamily = 20
	diagDestroy  = 21

	diagRequestLen = 56 // inet_diag_req_v2: family, protocol, ext, pad, states, id
	diagID         = 8  // the id in a request
	diagMessageID  = 4  // the id in an inet_diag_msg
	diagIDLen      = 48 // ports, addresses, interface, cookie
	diagSource     = 4  // the local address in an id
)

// connected are the states of sockets with a peer (net/tcp_states.h). Listeners and unconnected UDP sockets stay: they hold
// no conversation, and their owners would not notice that they died.
const connected = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11 | 1<<12

// sockets ends conversations. A connection outlives its address: without this it would resume, with whatever
// was written to it in between, when the address comes back (SOCK_DESTROY, Linux 4.9).
type sockets struct {
	conn     *netlink.Conn
	tracking *tracking
}

func dialSockets() (*sockets, error) {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("socket diagnosis: %w", err)
	}
	tracking, err := dialTracking()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &sockets{conn, tracking}, nil
}

// destroy kills every connected socket whose local address is in gone, and reports how many there were.
func (s *sockets) destroy(gone map[netip.Addr]bool) (int, error) {
	killed := 0
	var errs []error
	for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} { // IPv6 sockets may carry IPv4 connections
			n, err := s.destroyOf(family, protocol, gone)
			killed += n
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return killed, errors.Join(errs...)
}

func (s *sockets) destroyOf(family, protocol byte, gone map[netip.Addr]bool) (int, error) {
	all, err := s.conn.Execute(diagMessage(diagByFamily, netlink.Dump, family, protocol, nil))
	if err != nil {
		return 0, fmt.Errorf("list of sockets: %w", err)
	}
	killed := 0
	for _, m := range all {
		if len(m.Data) < diagMessageID+diagIDLen {
			continue
		}
		id := m.Data[diagMessageID : diagMessageID+diagIDLen]
		if !gone[localAddress(m.Data[0], id)] {
			continue
		}
		_, err := s.conn.Execute(diagMessage(diagDestroy, netlink.Acknowledge, m.Data[0], protocol, id))
		switch {
		case err == nil:
			killed++
		case errors.Is(err, unix.ENOENT):
		default:
			return killed, fmt.Errorf("destruction of a socket (CONFIG_INET_DIAG_DESTROY): %w", err)
		}
	}
	return killed, nil
}

func diagMessage(kind netlink.HeaderType, flags netlink.HeaderFlags, family, protocol byte, id []byte) netlink.Message {
	body := make([]byte, diagRequestLen)
	body[0], body[1] = family, protocol
	binary.NativeEndian.PutUint32(body[4:], connected)
	copy(body[diagID:], id)
	return netlink.Message{Header: netlink.Header{Type: kind, Flags: flags | netlink.Request}, Data: body}
}

func localAddress(family byte, id []byte) netip.Addr {
	source := id[diagSource:]
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(source[:4]))
	}
	return netip.AddrFrom16([16]byte(source[:16])).Unmap()
}

func (s *sockets) close() error { return errors.Join(s.conn.Close(), s.tracking.close()) }

package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	vnetlink "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// flows matches tracked connections of lost addresses; it is a filter for netlink.ConntrackDeleteFilters.
type flows map[netip.Addr]bool

// MatchConntrackFlow reports whether either end of the flow, before or after NAT, is a lost address.
func (f flows) MatchConntrackFlow(flow *vnetlink.ConntrackFlow) bool {
	for _, ip := range [][]byte{flow.Forward.SrcIP, flow.Forward.DstIP, flow.Reverse.SrcIP, flow.Reverse.DstIP} {
		if addr, ok := netip.AddrFromSlice(ip); ok && f[addr.Unmap()] {
			return true
		}
	}
	return false
}

// forget deletes the tracked connections of lost addresses, or a NAT rule would go on serving them. A kernel without
// connection tracking has none. Walking the kernel's table takes 11 ms for each family even when it is empty (262144
// buckets), and a client waits for it, so only what can be there is looked for.
func (k *Kernel) forget(gone map[netip.Addr]bool) error {
	if k.sockets.tracking.empty() {
		return nil
	}
	families := map[vnetlink.InetFamily]bool{}
	for ip := range gone {
		if ip.Is4() {
			families[unix.AF_INET] = true
		} else {
			families[unix.AF_INET6] = true
		}
	}
	var errs []error
	for family := range families {
		_, err := k.links.handle.ConntrackDeleteFilters(vnetlink.ConntrackTable, family, flows(gone))
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("deletion of tracked connections: %w", err))
		}
	}
	return errors.Join(errs...)
}

// The request of linux/netfilter/nfnetlink_conntrack.h for statistics, and the answer's layout, in bytes: a netlink
// header (length, type, flags, sequence, sender), struct nfgenmsg, one attribute.
const (
	trackingStats   = 1<<8 | 5 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS
	trackingEntries = 1        // CTA_STATS_GLOBAL_ENTRIES
	trackingRequest = 16 + 4
	trackingAnswer  = trackingRequest + 4 + 4
	// trackingPatience bounds the wait for a kernel that doesn't answer; walking the table isn't much slower.
	trackingPatience = 10 * time.Millisecond
)

// tracking asks whether there are connections that netfilter tracks. The kernel marks its one answer as the first of
// several and never ends them, so that a netlink library would wait for ever.
type tracking struct {
	fd       int
	sequence uint32
}

func dialTracking() (*tracking, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("connection tracking: %w", err)
	}
	patience := unix.NsecToTimeval(trackingPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, errors.Join(fmt.Errorf("connection tracking: %w", err), unix.Close(fd))
	}
	return &tracking{fd: fd}, nil
}

// empty reports whether the kernel says that it tracks nothing in this namespace. When it doesn't say, it may.
func (t *tracking) empty() bool {
	t.sequence++
	request := make([]byte, trackingRequest)
	binary.NativeEndian.PutUint32(request, trackingRequest)
	binary.NativeEndian.PutUint16(request[4:], trackingStats)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(request[8:], t.sequence)
	if err := unix.Sendto(t.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false
	}
	answer := make([]byte, 1024)
	for {
		n, _, err := unix.Recvfrom(t.fd, answer, 0)
		if err != nil || n < trackingAnswer {
			return false
		}
		if binary.NativeEndian.Uint32(answer[8:]) == t.sequence { // else a late answer to an earlier question
			break
		}
	}
	return binary.NativeEndian.Uint16(answer[4:]) == trackingStats &&
		binary.NativeEndian.Uint16(answer[trackingRequest+2:]) == trackingEntries &&
		binary.BigEndian.Uint32(answer[trackingRequest+4:]) == 0
}

// close may be called again.
func (t *tracking) close() error {
	if t.fd < 0 {
		return nil
	}
	fd := t.fd
	t.fd = -1 // before the number can mean another file
	return unix.Close(fd)
}

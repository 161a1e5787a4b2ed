package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// frames sends Ethernet frames on any link. One unbound socket serves all: it costs nothing to keep, survives a link that
// comes and goes, and closing one per burst would make every burst wait for the kernel's grace period.
type frames struct{ fd int }

const framesTimeout = 200 * time.Millisecond // for a link whose queue doesn't move

var (
	everyone     = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	nobody       = net.HardwareAddr{0, 0, 0, 0, 0, 0}
	allNodes     = netip.MustParseAddr("ff02::1")
	allNodesLink = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} // RFC 2464 §7
)

func dialFrames() (*frames, error) {
	// Protocol 0: the socket sends and never receives.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	timeout := unix.NsecToTimeval(framesTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return &frames{fd}, nil
}

func (f *frames) send(index int, frame []byte) error {
	for {
		err := unix.Sendto(f.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// close may be called again.
func (f *frames) close() error {
	if f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1 // before the number can mean another file
	return unix.Close(fd)
}

// announcement is the burst for one address.
type announcement struct {
	group  string
	addr   netip.Addr
	index  int
	until  time.Duration
	frames [][]byte
}

// Announce tells the neighbours, once, where the groups' addresses are: ARP as request and as reply, since some
// listen to one only (RFC 5227 §3), or an unsolicited neighbour advertisement that overrides (RFC 4861 §7.2.6). A group
// without a valid permit is refused, and a burst stops where its permit ends.
func (k *Kernel) Announce(ctx context.Context, groups ...string) error {
	bursts, err := k.announcements(groups)
	errs := []error{err}
	failed := map[string]bool{}
	for _, b := range bursts {
		for _, frame := range b.frames {
			// Looked at before each frame: a process that was stopped in a burst must not finish it.
			if k.clock() >= b.until {
				return errors.Join(append(errs, &GroupError{b.group, fmt.Errorf("%w: announcement cut off", ErrNoPermit)})...)
			}
			if ctx.Err() != nil {
				return errors.Join(append(errs, context.Cause(ctx))...)
			}
			if err := k.frames.send(b.index, frame); err != nil && !failed[b.group] {
				failed[b.group] = true
				errs = append(errs, &GroupError{b.group, fmt.Errorf("announcement of %v: %w", b.addr, err)})
			}
		}
	}
	return errors.Join(errs...)
}

// announcements prepares the bursts of groups that have a permit.
func (k *Kernel) announcements(names []string) ([]announcement, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	groups, err := k.lookup(names)
	errs := []error{err}
	links, _ := k.links.find(k.interfaces(groups))
	now := k.clock()
	var bursts []announcement
	for _, g := range groups {
		if !g.permit.Valid(now) {
			errs = append(errs, &GroupError{g.name, ErrNoPermit})
			continue
		}
		for _, a := range g.addrs {
			on, known := links[a.Interface]
			if !known {
				errs = append(errs, &GroupError{g.name, fmt.Errorf("announcement of %v: there is no interface %s", a.IP(), a.Interface)})
				continue
			}
			if len(on.hardware) != len(everyone) {
				continue // not Ethernet: nobody resolves addresses there
			}
			frames, err := announce(a.IP(), on.hardware)
			if err != nil {
				errs = append(errs, &GroupError{g.name, fmt.Errorf("announcement of %v: %w", a.IP(), err)})
				continue
			}
			bursts = append(bursts, announcement{g.name, a.IP(), on.index, g.permit.Until(), frames})
		}
	}
	return bursts, errors.Join(errs...)
}

func announce(addr netip.Addr, from net.HardwareAddr) ([][]byte, error) {
	if addr.Is6() {
		frame, err := advertise(addr, from)
		return [][]byte{frame}, err
	}
	request, err := gratuitous(arp.OperationRequest, addr, from, nobody)
	if err != nil {
		return nil, err
	}
	reply, err := gratuitous(arp.OperationReply, addr, from, everyone)
	return [][]byte{request, reply}, err
}

// gratuitous is an ARP packet in which sender and target are the address.
func gratuitous(op arp.Operation, addr netip.Addr, from, target net.HardwareAddr) ([]byte, error) {
	packet, err := arp.NewPacket(op, from, addr, target, addr)
	if err != nil {
		return nil, err
	}
	body, err := packet.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return ethernet(everyone, from, unix.ETH_P_ARP, body), nil
}

// advertise is an unsolicited neighbour advertisement to all nodes.
func advertise(addr netip.Addr, from net.HardwareAddr) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Override:      true,
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: from}},
	}, addr, allNodes)
	if err != nil {
		return nil, err
	}
	const hopLimit = 255                                                   // RFC 4861 §7.1.2: proof that no router passed it on
	header := []byte{6 << 4, 0, 0, 0, 0, 0, unix.IPPROTO_ICMPV6, hopLimit} // RFC 8200 §3
	header[4], header[5] = byte(len(body)>>8), byte(len(body))
	header = append(append(header, addr.AsSlice()...), allNodes.AsSlice()...)
	return ethernet(allNodesLink, from, unix.ETH_P_IPV6, append(header, body...)), nil
}

func ethernet(to, from net.HardwareAddr, kind uint16, body []byte) []byte {
	frame := append(append([]byte{}, to...), from...)
	frame = append(frame, byte(kind>>8), byte(kind))
	return append(frame, body...)
}

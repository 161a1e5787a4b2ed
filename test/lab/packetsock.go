//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetSocket sends and receives whole frames on an interface; arrivals carry the kernel's
// time, so that a reader that has to wait for a processor doesn't shift them.
type packetSocket struct {
	fd int
	to unix.SockaddrLinklayer
}

// receiveBuffer holds what arrives while the reader waits for a processor.
const receiveBuffer = 8 << 20

// openPacketSocket runs in the namespace of the interface. Protocol 0 makes a socket that only sends.
func openPacketSocket(link string, protocol uint16) (*packetSocket, error) {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // nothing arrives before bind
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &packetSocket{fd: fd, to: unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: htons(protocol)}}
	tick := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds()) // how often receive looks up
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &s.to),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", link, err)
	}
	return s, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (s *packetSocket) send(frame []byte) error {
	to := s.to
	to.Protocol = htons(uint16(frame[12])<<8 | uint16(frame[13]))
	return unix.Sendto(s.fd, frame, 0, &to)
}

// errQuiet is returned when nothing came for a while.
var errQuiet = errors.New("no frame")

// receive reads one frame and the time at which the kernel received it.
func (s *packetSocket) receive(buf, control []byte) (n int, at time.Time, err error) {
	n, cn, _, _, err := unix.Recvmsg(s.fd, buf, control, 0)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, at, errQuiet
	}
	if err != nil {
		return 0, at, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil {
		return 0, at, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return n, time.Unix(ts.Unix()), nil
		}
	}
	return 0, at, errors.New("packet socket: a frame without a kernel timestamp")
}

func (s *packetSocket) close() { unix.Close(s.fd) }

// openEchoSocket opens a socket that asks as any program does: the kernel finds the neighbour.
// Answers are read elsewhere, so it takes none.
func openEchoSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return -1, fmt.Errorf("ICMP socket: %w", err)
	}
	const icmpFilter, allTypes = 1, -1 // ICMP_FILTER of linux/icmp.h: a set bit is dropped
	if err := unix.SetsockoptInt(fd, syscall.SOL_RAW, icmpFilter, allTypes); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("ICMP socket filter: %w", err)
	}
	return fd, nil
}

//go:build linux

package vip

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// prober asks the node about one address every millisecond, by ARP (or ND) and by an echo request to the node's
// MAC, which reaches a holder that ARP hides. It hears every frame in which the node speaks as the address.
type prober struct {
	s    *stage
	addr netip.Addr
	fd   int

	stop    chan struct{}
	stopped sync.WaitGroup

	mu       sync.Mutex
	resolved []time.Duration       // when ARP or ND was answered, by the kernel's receive timestamps
	echoed   map[int]time.Duration // when each echo request was answered
	sent     map[int]time.Duration // when each echo request was sent
	other    []time.Duration       // when the node spoke as the address in another way
}

func (s *stage) probe(addr netip.Addr) *prober {
	s.t.Helper()
	p := &prober{s: s, addr: addr, stop: make(chan struct{}), echoed: map[int]time.Duration{}, sent: map[int]time.Duration{}}
	s.inside(s.clientFile, func() { p.fd = packetSocket(s.t) })
	p.stopped.Go(p.send)
	p.stopped.Go(p.hear)
	s.t.Cleanup(p.halt)
	return p
}

func packetSocket(t testing.TB) int {
	const everything = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

// halt ends the probing; answers to what was sent are still heard.
func (p *prober) halt() {
	p.mu.Lock()
	fd := p.fd
	p.fd = -1
	p.mu.Unlock()
	if fd >= 0 {
		close(p.stop)
		p.stopped.Wait()
		unix.Close(fd)
	}
}

func (p *prober) send() {
	fd := p.fd
	index := 0
	p.s.inside(p.s.clientFile, func() { index = interfaceIndex(p.s.t) })
	question := p.question()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for seq := 0; ; seq++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		echo := p.echo(seq)
		p.mu.Lock()
		p.sent[seq] = p.s.now()
		p.mu.Unlock()
		for _, frame := range [][]byte{question, echo} {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index}); err != nil && !errors.Is(err, unix.ENOBUFS) { // no carrier
				p.s.t.Errorf("probe: %v", err)
				return
			}
		}
	}
}

func (p *prober) question() []byte {
	if p.addr.Is4() {
		packet, err := arp.NewPacket(arp.OperationRequest, p.s.clientMAC, client4, nobody, p.addr)
		return ethernet(everyone, p.s.clientMAC, unix.ETH_P_ARP, must(must(packet, err).MarshalBinary()))
	}
	solicit := &ndp.NeighborSolicitation{
		TargetAddress: p.addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: p.s.clientMAC}},
	}
	// To the solicited-node group of the address (RFC 4291 §2.7.1, RFC 2464 §7).
	low := p.addr.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], low[13:])
	body := must(ndp.MarshalMessageChecksum(solicit, client6, netip.AddrFrom16(group)))
	mac := []byte{0x33, 0x33, group[12], group[13], group[14], group[15]}
	return ethernet(mac, p.s.clientMAC, unix.ETH_P_IPV6, ip6Packet(client6, netip.AddrFrom16(group), body))
}

func (p *prober) echo(seq int) []byte {
	message := icmp.Message{Body: &icmp.Echo{ID: 7, Seq: seq & 0xffff}}
	if p.addr.Is6() {
		message.Type = ipv6.ICMPTypeEchoRequest
		body := must(message.Marshal(icmp.IPv6PseudoHeader(client6.AsSlice(), p.addr.AsSlice())))
		return ethernet(p.s.nodeMAC, p.s.clientMAC, unix.ETH_P_IPV6, ip6Packet(client6, p.addr, body))
	}
	message.Type = ipv4.ICMPTypeEcho
	body := must(message.Marshal(nil))
	header := make([]byte, 20)
	header[0], header[8], header[9] = 0x45, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(body)))
	copy(header[12:], client4.AsSlice())
	copy(header[16:], p.addr.AsSlice())
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum+sum>>16))
	return ethernet(p.s.nodeMAC, p.s.clientMAC, unix.ETH_P_IP, append(header, body...))
}

func ip6Packet(from, to netip.Addr, body []byte) []byte {
	header := []byte{6 << 4, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), unix.IPPROTO_ICMPV6, 255}
	return slices.Concat(header, from.AsSlice(), to.AsSlice(), body)
}

func (p *prober) hear() {
	fd := p.fd
	frame, control := make([]byte, 2048), make([]byte, 256)
	for {
		n, c, _, from, err := unix.Recvmsg(fd, frame, control, 0)
		if err != nil {
			select {
			case <-p.stop:
				return
			default:
				continue
			}
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		p.note(frame[:n], p.stamp(control[:c]))
	}
}

func (p *prober) stamp(control []byte) time.Duration {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Type == unix.SO_TIMESTAMPNS {
			sec, nsec := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return time.Unix(int64(sec), int64(nsec)).Sub(time.Unix(0, p.s.start.UnixNano()))
		}
	}
	p.s.t.Errorf("frame without a timestamp: %v", err)
	return p.s.now()
}

// note files a frame in which the node speaks as the address.
func (p *prober) note(frame []byte, at time.Duration) {
	if len(frame) < 42 || !slices.Equal(frame[6:12], p.s.nodeMAC) {
		return
	}
	kind, body := binary.BigEndian.Uint16(frame[12:]), frame[14:]
	p.mu.Lock()
	defer p.mu.Unlock()
	switch is := func(at int) bool { return slices.Equal(body[at:at+p.addr.BitLen()/8], p.addr.AsSlice()) }; {
	case p.addr.Is4() && kind == unix.ETH_P_ARP && is(arpSender):
		if body[7] == 2 {
			p.resolved = append(p.resolved, at)
		} else {
			p.other = append(p.other, at)
		}
	case p.addr.Is4() && kind == unix.ETH_P_IP && is(ip4Source):
		if body[9] == unix.IPPROTO_ICMP && body[20] == 0 {
			p.answered(binary.BigEndian.Uint16(body[26:]), at)
		} else {
			p.other = append(p.other, at)
		}
	case p.addr.Is6() && kind == unix.ETH_P_IPV6 && len(body) >= 48:
		switch icmp6 := body[40:]; {
		case body[6] == unix.IPPROTO_ICMPV6 && icmp6[0] == neighbourAdvertise && len(body) >= 64 && is(40+ndTarget):
			p.resolved = append(p.resolved, at)
		case is(ip6Source) && icmp6[0] == 129:
			p.answered(binary.BigEndian.Uint16(icmp6[6:]), at)
		case is(ip6Source):
			p.other = append(p.other, at)
		}
	}
}

// answered notes an echo reply; sequence numbers are 16 bits long, which lasts for a minute of probing.
func (p *prober) answered(seq uint16, at time.Duration) { p.echoed[int(seq)] = at }

// last is when the node last spoke as the address, in any way.
func (p *prober) last() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := time.Duration(0)
	for _, at := range slices.Concat(p.resolved, p.other) {
		last = max(last, at)
	}
	for _, at := range p.echoed {
		last = max(last, at)
	}
	return last
}

// answers counts what was heard so far: resolutions and echoes.
func (p *prober) answers() (resolved, echoed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.resolved), len(p.echoed)
}

// lost counts echo requests sent in a span of time that have no answer.
func (p *prober) lost(from, to time.Duration) (lost, sent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq, at := range p.sent {
		if at < from || at > to {
			continue
		}
		sent++
		if _, ok := p.echoed[seq]; !ok {
			lost++
		}
	}
	return lost, sent
}

// sentUntil is when the last echo request was sent.
func (p *prober) sentUntil() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := time.Duration(0)
	for _, at := range p.sent {
		last = max(last, at)
	}
	return last
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// links adds, refreshes and deletes addresses. Changes go out many to a packet: a refresh of a thousand addresses
// is a handful of system calls.
type links struct {
	handle *netlink.Handle
	sock   *nl.NetlinkSocket // for changes; its port number marks their echoes
	port   uint32
	seq    uint32
}

// found is a guarded address on a link.
type found struct {
	addr   netip.Addr
	prefix int
	peer   netip.Addr // the other end of a point-to-point link; otherwise the address itself
	index  int        // of the link
	life   int        // valid_lft, seconds; 0: for ever
}

const (
	changesPerPacket = 256     // the answers have to fit the socket's buffer
	answersBuffer    = 4 << 20 // bytes
)

func dialLinks() (*links, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("netlink handle: %w", err)
	}
	l := &links{handle: handle}
	if l.sock, err = nl.Subscribe(unix.NETLINK_ROUTE); err != nil {
		l.close()
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if l.port, err = l.sock.GetPid(); err != nil {
		l.close()
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	timeout := unix.NsecToTimeval((5 * time.Second).Nanoseconds())
	if err := errors.Join(l.sock.SetReceiveTimeout(&timeout), l.sock.SetSendTimeout(&timeout)); err != nil {
		l.close()
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if l.sock.SetReceiveBufferSize(answersBuffer, true) != nil {
		// Not privileged to exceed the limit: as much as there is.
		_ = l.sock.SetReceiveBufferSize(answersBuffer, false)
	}
	return l, nil
}

func (l *links) close() {
	l.handle.Close()
	if l.sock != nil {
		l.sock.Close()
	}
}

// list finds every address for which guarded says yes, on any link.
func (l *links) list(guarded func(netip.Addr) bool) ([]found, error) {
	var all []netlink.Addr
	for try := 0; ; try++ {
		var err error
		all, err = l.handle.AddrList(nil, netlink.FAMILY_ALL)
		if err == nil {
			break
		}
		if try == 4 || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list of addresses: %w", err)
		}
	}
	var list []found
	for _, raw := range all {
		if raw.IPNet == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(raw.IP)
		if !ok || !guarded(addr.Unmap()) {
			continue
		}
		list = append(list, describe(raw, addr.Unmap()))
	}
	return list, nil
}

func describe(raw netlink.Addr, addr netip.Addr) found {
	f := found{addr: addr, peer: addr, index: raw.LinkIndex, life: raw.ValidLft}
	f.prefix, _ = raw.Mask.Size()
	if raw.Peer != nil {
		f.prefix, _ = raw.Peer.Mask.Size()
		if peer, ok := netip.AddrFromSlice(raw.Peer.IP); ok {
			f.peer = peer.Unmap()
		}
	}
	if uint32(raw.ValidLft) == forever {
		f.life = 0
	}
	return f
}

const forever = 0xffffffff // INFINITY_LIFE_TIME

// link is what an interface's name stands for now.
type link struct {
	index    int
	hardware net.HardwareAddr
}

// find resolves interface names, each once.
func (l *links) find(names []string) (map[string]link, error) {
	known := map[string]link{}
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		found, err := l.handle.LinkByName(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", name, err))
			continue
		}
		known[name] = link{found.Attrs().Index, found.Attrs().HardwareAddr}
	}
	return known, errors.Join(errs...)
}

// name is what a link is called now; for people.
func (l *links) name(index int) string {
	found, err := l.handle.LinkByIndex(index)
	if err != nil {
		return fmt.Sprintf("link %d", index)
	}
	return found.Attrs().Name
}

// put is an address to be added, or to be given a new lifetime.
type put struct {
	prefix netip.Prefix
	index  int
	life   time.Duration
}

// request words the change for the kernel: valid_lft is the lifetime in whole seconds, rounded down, plus one.
func (p put) request() *nl.NetlinkRequest {
	addr := p.prefix.Addr()
	valid := uint32(p.life/time.Second) + 1
	info := unix.IfaCacheinfo{Valid: valid, Prefered: valid}
	flags := 0
	if addr.Is6() {
		// No DAD: the lease says that the address is ours alone, and DAD would cost a second. Deprecated (preferred
		// for 0 s), so that connections of our own don't choose it as their source.
		flags = unix.IFA_F_NODAD
		info.Prefered = 0
		if p.prefix.IsSingleIP() {
			flags |= unix.IFA_F_NOPREFIXROUTE
		}
	}
	req := addressRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, addr, p.prefix.Bits(), p.index)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	if flags != 0 {
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, uint32(flags))))
	}
	if addr.Is4() && p.prefix.Bits() < 31 {
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(p.prefix).AsSlice()))
	}
	cache := nl.IfaCacheInfo{IfaCacheinfo: info}
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, cache.Serialize()))
	return req
}

func addressRequest(kind, flags int, addr netip.Addr, bits, index int) *nl.NetlinkRequest {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	body := nl.NewIfAddrmsg(family)
	body.Prefixlen = uint8(bits)
	body.Index = uint32(index)
	req.AddData(body)
	return req
}

func broadcast(p netip.Prefix) netip.Addr {
	four := p.Addr().As4()
	all := binary.BigEndian.Uint32(four[:]) | ^uint32(0)>>p.Bits()
	binary.BigEndian.PutUint32(four[:], all)
	return netip.AddrFrom4(four)
}

// add brings addresses up, or renews their lifetimes. The errors are in the order of puts.
func (l *links) add(puts []put) []error {
	requests := make([]*nl.NetlinkRequest, len(puts))
	for i, p := range puts {
		requests[i] = p.request()
	}
	return l.send(requests)
}

// drop deletes addresses from their links; one that is gone already is no error.
func (l *links) drop(list []found) error {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i, f := range list {
		// With IFA_ADDRESS the kernel compares the prefix length too: the same address may be there twice.
		req := addressRequest(unix.RTM_DELADDR, 0, f.addr, f.prefix, f.index)
		req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, f.addr.AsSlice()))
		req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, f.peer.AsSlice()))
		requests[i] = req
	}
	var errs []error
	for i, err := range l.send(requests) {
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete %v from %s: %w", list[i].addr, l.name(list[i].index), err))
		}
	}
	return errors.Join(errs...)
}

// send delivers requests in order, several to a packet, and collects the kernel's answer to each.
func (l *links) send(requests []*nl.NetlinkRequest) []error {
	errs := make([]error, 0, len(requests))
	for chunk := range slices.Chunk(requests, changesPerPacket) {
		errs = append(errs, l.sendPacket(chunk)...)
	}
	return errs
}

func (l *links) sendPacket(requests []*nl.NetlinkRequest) []error {
	first := l.seq + 1
	var packet []byte
	for _, r := range requests {
		l.seq++
		r.Seq = l.seq
		packet = append(packet, r.Serialize()...)
		packet = append(packet, make([]byte, -len(packet)&(unix.NLMSG_ALIGNTO-1))...)
	}
	errs := make([]error, len(requests))
	missing := errors.New("kernel gave no answer")
	for i := range errs {
		errs[i] = missing
	}
	fail := func(err error) []error {
		for i := range errs {
			if errs[i] == missing {
				errs[i] = err
			}
		}
		return errs
	}
	if err := unix.Sendto(l.sock.GetFd(), packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fail(fmt.Errorf("netlink send: %w", err))
	}
	for answers := 0; answers < len(requests); {
		messages, _, err := l.sock.Receive()
		if err != nil {
			return fail(fmt.Errorf("netlink answer: %w", err))
		}
		for _, m := range messages {
			i := int(m.Header.Seq - first)
			if m.Header.Type != unix.NLMSG_ERROR || i < 0 || i >= len(errs) || len(m.Data) < 4 {
				continue // left over from an earlier packet
			}
			answers++
			errs[i] = nil
			if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
				errs[i] = unix.Errno(-code)
			}
		}
	}
	return errs
}

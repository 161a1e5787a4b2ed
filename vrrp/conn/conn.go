// Package conn carries VRRP adverts over raw IPv4 sockets: by multicast, or to a list of unicast
// peers. It owns what RFC 9568 says about the IP header: TTL 255 both ways, the group, the
// sender's address; and it counts and reports what it drops.
//
// One Conn serves every virtual router of an interface; who receives tells them apart by the advert's VRID. It
// doesn't know their states, and it believes nothing: a packet that passes here is well formed and
// from the link, not true.
package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/solevip/solevip/vrrp"
)

// Group is the IPv4 multicast group of VRRP (RFC 9568 section 5.1.1.2).
var Group = netip.AddrFrom4([4]byte{224, 0, 0, 18})

const (
	ttl       = 255       // RFC 9568 section 5.1.1.3: proof that no router was in between (RFC 5082)
	tos       = 0xc0      // internetwork control, as keepalived and routers mark it
	receive   = 1 << 20   // bytes of receive buffer: 250 virtual routers may all speak at once
	batch     = 32        // packets per system call
	maxPacket = 60 + 1500 // IP header with options, and more than the longest IPv4 advert (1,036 bytes)
)

// Options of a [Conn].
type Options struct {
	Interface string       // the link, for example eth0
	Group     netip.Addr   // zero: 224.0.0.18; not used with Peers
	Source    netip.Addr   // our address in adverts; zero: the interface's first IPv4 address
	Peers     []netip.Addr // unicast when set: adverts go to each, and are taken from these alone
	Log       *slog.Logger // zero: nothing is logged
}

// Conn sends and receives the adverts of one interface. Send and Run may be called at the same time.
// A Conn does not outlive its interface: when that is deleted and made anew, listen anew.
type Conn struct {
	opts  Options
	index int // the interface's
	raw   net.PacketConn
	pc    *ipv4.PacketConn
	own   ownAddresses
	drops *drops
	sent  atomic.Uint64
	taken atomic.Uint64
}

// Received is an advert that passed every check.
type Received struct {
	Advert    vrrp.Advert
	From      netip.Addr
	To        netip.Addr // the group, or our address
	Interface string
}

// Stats counts packets since Listen.
type Stats struct {
	Sent     uint64            // packets, one per peer with unicast
	Received uint64            // handed to the callback
	Dropped  map[Reason]uint64 // every reason is there, if only with 0
}

// Listen opens the socket. It needs CAP_NET_RAW.
func Listen(o Options) (*Conn, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ifi, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("vrrp on %q: %w", o.Interface, err)
	}
	if err := o.complete(ifi); err != nil {
		return nil, fmt.Errorf("vrrp on %s: %w", o.Interface, err)
	}
	lc := net.ListenConfig{Control: control(o.Interface)}
	raw, err := lc.ListenPacket(context.Background(), "ip4:112", "0.0.0.0") // bound to an address it would miss the group
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("vrrp on %s: %w (run as root or with CAP_NET_RAW)", o.Interface, err)
	} else if err != nil {
		return nil, fmt.Errorf("vrrp on %s: %w", o.Interface, err)
	}
	c := &Conn{opts: o, index: ifi.Index, raw: raw, pc: ipv4.NewPacketConn(raw), drops: newDrops(o.Log)}
	if err := c.setup(ifi); err != nil {
		raw.Close()
		return nil, fmt.Errorf("vrrp on %s: %w", o.Interface, err)
	}
	return c, nil
}

// complete fills in and checks the addresses.
func (o *Options) complete(ifi *net.Interface) error {
	if !o.Group.IsValid() {
		o.Group = Group
	}
	if !o.Group.Is4() || !o.Group.IsMulticast() {
		return fmt.Errorf("group %v is not an IPv4 multicast address (VRRP's is %v)", o.Group, Group)
	}
	for _, p := range o.Peers {
		if !p.Is4() || p.IsMulticast() || p.IsUnspecified() {
			return fmt.Errorf("peer %v is not an IPv4 unicast address", p)
		}
	}
	have, err := ipv4Addresses(ifi)
	switch {
	case err != nil:
		return fmt.Errorf("addresses: %w", err)
	case len(have) == 0:
		return errors.New("the interface has no IPv4 address to send adverts from; add one, or choose another interface")
	case !o.Source.IsValid():
		o.Source = have[0]
	case !slices.Contains(have, o.Source):
		return fmt.Errorf("source %v is not an address of the interface (it has %v)", o.Source, have)
	}
	if slices.Contains(o.Peers, o.Source) {
		return fmt.Errorf("peer %v is this node itself", o.Source)
	}
	return nil
}

func (c *Conn) setup(ifi *net.Interface) error {
	type step struct {
		name string
		do   func() error
	}
	steps := []step{
		{"set tos", func() error { return c.pc.SetTOS(tos) }},
		{"set ttl", func() error { return c.pc.SetTTL(ttl) }},
	}
	if len(c.opts.Peers) == 0 {
		steps = append(steps,
			step{"set multicast ttl", func() error { return c.pc.SetMulticastTTL(ttl) }},
			step{"turn multicast loop off", func() error { return c.pc.SetMulticastLoopback(false) }},
			step{"set multicast interface", func() error { return c.pc.SetMulticastInterface(ifi) }},
			step{"join group", func() error { return c.pc.JoinGroup(ifi, &net.IPAddr{IP: c.opts.Group.AsSlice()}) }},
		)
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// Source is the address that adverts are sent from: the machine's primary address.
func (c *Conn) Source() netip.Addr { return c.opts.Source }

// Close ends Run too.
func (c *Conn) Close() error { return c.raw.Close() }

// Stats is what was counted so far.
func (c *Conn) Stats() Stats {
	return Stats{Sent: c.sent.Load(), Received: c.taken.Load(), Dropped: c.drops.counts()}
}

// Send sends adverts, as one batch, to the group or to every peer. An error means that some were not
// sent; the others were.
func (c *Conn) Send(adverts ...vrrp.Advert) error {
	to := c.opts.Peers
	if len(to) == 0 {
		to = []netip.Addr{c.opts.Group}
	}
	from := (&ipv4.ControlMessage{Src: c.opts.Source.AsSlice(), IfIndex: c.index}).Marshal()
	var wrong []error
	packets := make([]ipv4.Message, 0, len(adverts)*len(to))
	for _, a := range adverts {
		for _, dst := range to {
			b, err := a.Marshal(c.opts.Source, dst)
			if err != nil {
				wrong = append(wrong, err)
				break // as wrong for every other peer
			}
			packets = append(packets, ipv4.Message{Buffers: [][]byte{b}, OOB: from, Addr: &net.IPAddr{IP: dst.AsSlice()}})
		}
	}
	for len(packets) > 0 {
		n, err := c.pc.WriteBatch(packets, 0)
		if err != nil { // of the first one: the others may have better luck
			wrong = append(wrong, fmt.Errorf("send advert to %v: %w", packets[0].Addr, err))
			n = 1
		} else {
			c.sent.Add(uint64(n))
		}
		packets = packets[n:]
	}
	return errors.Join(wrong...)
}

// Run hands every advert that passes to take, one after the other, until ctx ends (which is no
// error) or the Conn is closed. What take was given it may keep.
func (c *Conn) Run(ctx context.Context, take func(Received)) error {
	if err := c.raw.SetReadDeadline(time.Time{}); err != nil { // a former Run left one
		return fmt.Errorf("receive adverts on %s: %w", c.opts.Interface, err)
	}
	stop := context.AfterFunc(ctx, func() { c.raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	packets := make([]ipv4.Message, batch)
	for i := range packets {
		packets[i].Buffers = [][]byte{make([]byte, maxPacket)}
	}
	for {
		n, err := c.pc.ReadBatch(packets, 0)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("receive adverts on %s: %w", c.opts.Interface, err)
		}
		for _, p := range packets[:n] {
			r, d := c.inspect(p.Buffers[0][:p.N])
			if d != nil {
				c.drops.add(*d)
				continue
			}
			c.taken.Add(1)
			take(r)
		}
	}
}

// inspect is RFC 9568 section 7.1, as far as it needs no virtual router: the advert in an IPv4 packet, or why it
// is dropped. Order is policy: what isn't meant for us first, so that it can't raise other alarms.
func (c *Conn) inspect(packet []byte) (Received, *drop) {
	h, err := ipv4.ParseHeader(packet)
	if err != nil || h.Len > len(packet) {
		return Received{}, &drop{reason: Malformed, text: "no IPv4 header"}
	}
	src, _ := netip.AddrFromSlice(h.Src.To4())
	dst, _ := netip.AddrFromSlice(h.Dst.To4())
	out := func(why Reason, text string) (Received, *drop) { return Received{}, &drop{why, src, text} }
	unicast := len(c.opts.Peers) > 0
	switch {
	case unicast && dst != c.opts.Source, !unicast && dst != c.opts.Group:
		return out(Elsewhere, fmt.Sprintf("sent to %v", dst))
	case src == c.opts.Source || c.own.has(src):
		return out(OwnSource, "it comes from an address of our own: a loop, or an address that is used twice")
	case unicast && !slices.Contains(c.opts.Peers, src):
		return out(NotPeer, "it is not a configured peer")
	case h.TTL != ttl:
		return out(WrongTTL, fmt.Sprintf("ttl %d: it was routed, and adverts must not be (255 is required)", h.TTL))
	}
	end := min(max(h.TotalLen, h.Len), len(packet))
	a, err := vrrp.Parse(packet[h.Len:end], src, dst)
	if err != nil {
		return out(Malformed, err.Error())
	}
	return Received{Advert: a, From: src, To: dst, Interface: c.opts.Interface}, nil
}

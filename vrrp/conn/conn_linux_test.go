package conn_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/solevip/solevip/vrrp"
	"github.com/solevip/solevip/vrrp/conn"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

func TestMulticastServesManyRouters(t *testing.T) {
	l := newLink(t)
	a := listen(t, l.a, conn.Options{Interface: "left"})
	b := listen(t, l.b, conn.Options{Interface: "right"})
	if a.Source() != left || b.Source() != right {
		t.Fatalf("sources %v and %v", a.Source(), b.Source())
	}
	const routers = 250
	var adverts []vrrp.Advert
	for i := range routers {
		adverts = append(adverts, advert(uint8(i+1)))
	}
	if err := a.Send(adverts...); err != nil {
		t.Fatal(err)
	}
	for _, want := range adverts {
		got := b.next(t)
		w := conn.Received{Advert: want, From: left, To: conn.Group, Interface: "right"}
		if d := cmp.Diff(w, got, compareAddrs); d != "" {
			t.Fatal(d)
		}
	}
	// An answer proves that whatever a could hear of itself it would have heard by now.
	if err := b.Send(advert(1)); err != nil {
		t.Fatal(err)
	}
	if got := a.next(t); got.From != right {
		t.Errorf("a heard %+v", got)
	}
	if s := a.Stats(); s.Sent != routers || s.Received != 1 || s.Dropped[conn.OwnSource] != 0 {
		t.Errorf("a counted %+v", s)
	}
	if s := b.Stats(); s.Received != routers || s.Sent != 1 {
		t.Errorf("b counted %+v", s)
	}
}

func TestUnicast(t *testing.T) {
	l := newLink(t)
	a := listen(t, l.a, conn.Options{Interface: "left", Peers: []netip.Addr{right, right2}})
	b := listen(t, l.b, conn.Options{Interface: "right", Source: right2, Peers: []netip.Addr{left}})
	group := listen(t, l.b, conn.Options{Interface: "right"})
	plain := advert(7)
	plain.Checksum = vrrp.WithoutPseudoHeader
	if err := a.Send(plain); err != nil {
		t.Fatal(err)
	}
	want := conn.Received{Advert: plain, From: left, To: right2, Interface: "right"}
	if d := cmp.Diff(want, b.next(t), compareAddrs); d != "" {
		t.Error(d)
	}
	if err := b.Send(advert(7)); err != nil {
		t.Fatal(err)
	}
	if got := a.next(t); got.From != right2 || got.To != left {
		t.Errorf("a heard %+v, want it from the source that b was given", got)
	}
	if s := a.Stats(); s.Sent != 2 {
		t.Errorf("a sent %d packets to 2 peers", s.Sent)
	}
	// The packet to the other peer address reached neither the unicast nor the multicast Conn.
	sentinel(t, l, b, group)
	if got := b.Stats().Dropped[conn.Elsewhere]; got < 1 {
		t.Errorf("dropped %d packets for other addresses", got)
	}
}

// sentinel waits until everything that was sent from a before has been looked at.
func sentinel(t *testing.T, l link, unicast, group *listener) {
	t.Helper()
	last := advert(255)
	b1, err1 := last.Marshal(left, unicast.Source())
	b2, err2 := last.Marshal(left, conn.Group)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	forge(t, l.a, "left",
		forged{left, unicast.Source(), 255, b1},
		forged{left, conn.Group, 255, b2})
	for _, c := range []*listener{unicast, group} {
		if got := c.next(t); got.Advert.VRID != 255 {
			t.Fatalf("let pass: %+v", got)
		}
	}
}

func TestDrops(t *testing.T) {
	l := newLink(t)
	// Without these the kernel drops packets from our own addresses before we can.
	for _, s := range []string{"all.accept_local=1", "right.accept_local=1", "all.rp_filter=0", "right.rp_filter=0"} {
		command(t, "ip", "netns", "exec", l.b, "sysctl", "-q", "-w", "net.ipv4.conf."+s)
	}
	unicast := listen(t, l.b, conn.Options{Interface: "right", Peers: []netip.Addr{left}})
	group := listen(t, l.b, conn.Options{Interface: "right"})
	stranger := netip.MustParseAddr("192.0.2.9")
	good := func(src, dst netip.Addr) []byte {
		b, err := advert(50).Marshal(src, dst)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	broken := good(left, conn.Group)
	broken[2]++ // the checksum is wrong now
	forge(t, l.a, "left",
		forged{left, conn.Group, 254, good(left, conn.Group)},
		forged{left, conn.Group, 255, broken},
		forged{left, conn.Group, 255, nil},
		forged{left, conn.Group, 255, broken[:5]},
		forged{right, conn.Group, 255, good(right, conn.Group)},
		forged{right2, conn.Group, 255, good(right2, conn.Group)},
		forged{left, right, 254, good(left, right)},
		forged{right2, right, 255, good(right2, right)},
		forged{stranger, right, 255, good(stranger, right)},
		// A checksum with another destination's pseudo-header.
		forged{left, right, 255, good(left, conn.Group)},
	)
	sentinel(t, l, unicast, group)

	want := map[conn.Reason]uint64{conn.WrongTTL: 1, conn.Malformed: 3, conn.OwnSource: 2, conn.NotPeer: 0, conn.Elsewhere: 5}
	if d := cmp.Diff(want, group.Stats().Dropped); d != "" {
		t.Errorf("multicast dropped (-want +got):\n%s\n%s", d, group.log)
	}
	want = map[conn.Reason]uint64{conn.WrongTTL: 1, conn.Malformed: 1, conn.OwnSource: 1, conn.NotPeer: 1, conn.Elsewhere: 0}
	if d := cmp.Diff(want, unicast.Stats().Dropped); d != "" {
		t.Errorf("unicast dropped (-want +got):\n%s\n%s", d, unicast.log)
	}
	if n := strings.Count(group.log.String(), "reason=malformed"); n != 1 {
		t.Errorf("3 malformed packets of one source in %d lines:\n%s", n, group.log)
	}
}

func TestOtherGroupsAreNotHeard(t *testing.T) {
	l := newLink(t)
	other := netip.MustParseAddr("224.0.0.19")
	a := listen(t, l.a, conn.Options{Interface: "left", Group: other})
	b := listen(t, l.b, conn.Options{Interface: "right", Group: other})
	group := listen(t, l.b, conn.Options{Interface: "right"})
	if err := a.Send(advert(9)); err != nil {
		t.Fatal(err)
	}
	if got := b.next(t); got.To != other {
		t.Errorf("heard %+v", got)
	}
	c := listen(t, l.a, conn.Options{Interface: "left"})
	if err := c.Send(advert(10)); err != nil {
		t.Fatal(err)
	}
	if got := group.next(t); got.Advert.VRID != 10 {
		t.Errorf("heard %+v", got)
	}
	if n := group.Stats().Dropped[conn.Elsewhere]; n != 0 {
		t.Errorf("the kernel handed over %d packets of a group that was joined by another socket", n)
	}
}

func TestListenRefuses(t *testing.T) {
	l := newLink(t)
	command(t, "ip", "-n", l.b, "link", "add", "bare", "type", "veth", "peer", "name", "bare2")
	addr := netip.MustParseAddr
	rows := []struct {
		name string
		o    conn.Options
		want string
	}{
		{"no such interface", conn.Options{Interface: "nope"}, "nope"},
		{"an interface without address", conn.Options{Interface: "bare"}, "no IPv4 address"},
		{"a source of somebody else", conn.Options{Interface: "right", Source: left}, "source 192.0.2.1 is not an address"},
		{"a peer that is this node", conn.Options{Interface: "right", Peers: []netip.Addr{right}}, "this node itself"},
		{"a peer that is a group", conn.Options{Interface: "right", Peers: []netip.Addr{conn.Group}}, "not an IPv4 unicast address"},
		{"an IPv6 peer", conn.Options{Interface: "right", Peers: []netip.Addr{addr("fe80::1")}}, "not an IPv4 unicast address"},
		{"a group that is none", conn.Options{Interface: "right", Group: left}, "not an IPv4 multicast address"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			within(t, l.b, func() error {
				c, err := conn.Listen(r.o)
				if err == nil {
					c.Close()
				}
				if err == nil || !strings.Contains(err.Error(), r.want) {
					t.Errorf("error %v, want one about %q", err, r.want)
				}
				return nil
			})
		})
	}
}

func TestRunEnds(t *testing.T) {
	l := newLink(t)
	within(t, l.a, func() error {
		c, err := conn.Listen(conn.Options{Interface: "left"})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := c.Run(ctx, nil); err != nil {
			t.Errorf("with a context that ended: %v", err)
		}
		// And it can be run again.
		ended := make(chan error, 1)
		go func() { ended <- c.Run(context.Background(), nil) }()
		c.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := c.Send(advert(1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		return nil
	})
}

func TestSendReportsWhatItCouldNotSend(t *testing.T) {
	l := newLink(t)
	a := listen(t, l.a, conn.Options{Interface: "left"})
	b := listen(t, l.b, conn.Options{Interface: "right"})
	if err := a.Send(advert(1), vrrp.Advert{}, advert(2)); err == nil || !strings.Contains(err.Error(), "version 0") {
		t.Errorf("error %v", err)
	}
	if one, two := b.next(t), b.next(t); one.Advert.VRID != 1 || two.Advert.VRID != 2 {
		t.Errorf("heard %v and %v", one, two)
	}
	command(t, "ip", "-n", l.a, "link", "set", "left", "down")
	if err := a.Send(advert(1)); err == nil {
		t.Error("no error with the link down")
	}
	if s := a.Stats(); s.Sent != 2 {
		t.Errorf("counted %d", s.Sent)
	}
}

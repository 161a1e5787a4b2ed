//go:build linux

package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// A client whose neighbour table has the former holder learns the new one from the announcement alone.
func TestAnnouncementMovesTheClient(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	for _, addr := range []netip.Addr{vip4, vip6} {
		s.run("ip", "-n", s.client, "neigh", "replace", addr.String(), "lladdr", "02:00:00:00:00:99", "dev", "wire", "nud", "stale")
	}
	s.bind(k, "db", 10*time.Second)
	if err := k.Announce(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []netip.Addr{vip4, vip6} {
		within(t, time.Second, fmt.Sprintf("the client knows the holder of %v", addr), func() bool {
			return strings.Contains(s.run("ip", "-n", s.client, "neigh", "show", addr.String()), s.nodeMAC.String())
		})
	}
}

// The burst has a request and a reply, both naming the address as sender and as target.
func TestAnnouncementIsRequestAndReply(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	fd := 0
	s.inside(s.clientFile, func() { fd = packetSocket(t) })
	defer unix.Close(fd)
	s.bind(k, "db", 10*time.Second)
	if err := k.Announce(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	heard := map[arp.Operation]bool{}
	frame := make([]byte, 2048)
	within(t, time.Second, "a request and a reply", func() bool {
		n, _, err := unix.Recvfrom(fd, frame, 0)
		if err != nil || n < 42 || frame[12] != 0x08 || frame[13] != 0x06 {
			return false
		}
		var p arp.Packet
		if err := p.UnmarshalBinary(frame[14:n]); err != nil {
			t.Fatal(err)
		}
		if p.SenderIP != vip4 || p.TargetIP != vip4 || p.SenderHardwareAddr.String() != s.nodeMAC.String() || string(frame[:6]) != string(everyone) {
			t.Fatalf("not an announcement: %+v", p)
		}
		heard[p.Operation] = true
		return heard[arp.OperationRequest] && heard[arp.OperationReply]
	})
}

func TestAnnouncementNeedsAPermit(t *testing.T) {
	s := newStage(t)
	k := s.kernel()
	if err := k.Announce(t.Context(), "db"); !errors.Is(err, ErrNoPermit) {
		t.Errorf("without a permit: %v", err)
	}
	until := s.bind(k, "db", 300*time.Millisecond).Until()
	within(t, time.Second, "the permit is over", func() bool { return s.now() > until })
	if err := k.Announce(t.Context(), "db"); !errors.Is(err, ErrNoPermit) {
		t.Errorf("after the permit's end: %v", err)
	}
	s.bind(k, "db", time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Announce(ctx, "db"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
}

// A burst that a freeze interrupted is not finished after the permit's end: it would lead clients astray.
func TestThawedAnnouncementIsCutOff(t *testing.T) {
	s := newStage(t)
	clock := &frozenClock{s: s, left: -1}
	k := s.kernel(func(o *Options) { o.Clock = clock.now })
	clock.until = s.bind(k, "db", 400*time.Millisecond).Until()
	clock.left = 2 // once to check the permit, once per frame
	p := s.probe(vip4)
	if err := k.Announce(t.Context(), "db"); !errors.Is(err, ErrNoPermit) {
		t.Errorf("got %v, want ErrNoPermit", err)
	}
	p.halt()
	for _, at := range p.other {
		// One frame may be on its way when the freeze ends; here it is the first reading that freezes, after one frame.
		if at > clock.until+25*time.Millisecond {
			t.Errorf("a frame left %v after the permit's end", at-clock.until)
		}
	}
}

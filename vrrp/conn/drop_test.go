package conn

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDropsAreLoggedOnceAMinutePerReasonAndSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDrops(slog.New(slog.NewTextHandler(&log, nil)))
		from := netip.MustParseAddr("192.0.2.1")
		lines := func() int { return strings.Count(log.String(), "\n") }
		for range 100 {
			d.add(drop{WrongTTL, from, "ttl 1"})
		}
		if lines() != 1 {
			t.Errorf("%d lines for one reason and source", lines())
		}
		d.add(drop{Malformed, from, "checksum"})
		d.add(drop{WrongTTL, netip.MustParseAddr("192.0.2.3"), "ttl 1"})
		if lines() != 3 {
			t.Errorf("%d lines, want one more for another reason, and one for another source", lines())
		}
		time.Sleep(logEvery)
		d.add(drop{WrongTTL, from, "ttl 1"})
		if lines() != 4 || !strings.Contains(log.String(), "dropped=102") {
			t.Errorf("a minute later:\n%s", log.String())
		}
		if c := d.counts(); c[WrongTTL] != 102 || c[Malformed] != 1 || c[NotPeer] != 0 || len(c) != len(Reasons) {
			t.Errorf("counted %v", c)
		}
	})
}

func TestInventedSourcesShareALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDrops(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 5000 {
			d.add(drop{WrongTTL, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "ttl 1"})
		}
		if n := strings.Count(log.String(), "\n"); n != logKept+1 || len(d.logged) != logKept+1 {
			t.Errorf("%d lines, %d remembered; want %d and one for the rest", n, len(d.logged), logKept)
		}
	})
}

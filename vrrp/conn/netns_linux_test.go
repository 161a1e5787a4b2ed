package conn_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/net/ipv4"

	"github.com/solevip/solevip/vrrp"
	"github.com/solevip/solevip/vrrp/conn"
)

// TestMain lets tests that wait for each other's timers do so side by side, however few the processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("8")
	}
	os.Exit(m.Run())
}

// link is two network namespaces with a cable between them: a has 192.0.2.1 on "left", b has
// 192.0.2.2 and 192.0.2.77 on "right".
type link struct{ a, b string }

var links atomic.Uint32 // numbers them, for tests that run side by side

var (
	left   = netip.MustParseAddr("192.0.2.1")
	right  = netip.MustParseAddr("192.0.2.2")
	right2 = netip.MustParseAddr("192.0.2.77")
	vips   = []netip.Addr{netip.MustParseAddr("198.51.100.10"), netip.MustParseAddr("198.51.100.11")}
)

func newLink(t *testing.T) link {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and raw sockets need root")
	}
	need(t, "ip")
	n := links.Add(1)
	l := link{fmt.Sprintf("svconn%d-%da", os.Getpid(), n), fmt.Sprintf("svconn%d-%db", os.Getpid(), n)}
	for _, ns := range []string{l.a, l.b} {
		command(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { command(t, "ip", "netns", "del", ns) })
		command(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	command(t, "ip", "-n", l.a, "link", "add", "left", "type", "veth", "peer", "name", "right", "netns", l.b)
	command(t, "ip", "-n", l.a, "addr", "add", "192.0.2.1/24", "dev", "left")
	command(t, "ip", "-n", l.b, "addr", "add", "192.0.2.2/24", "dev", "right")
	command(t, "ip", "-n", l.b, "addr", "add", "192.0.2.77/24", "dev", "right")
	command(t, "ip", "-n", l.a, "link", "set", "left", "up")
	command(t, "ip", "-n", l.b, "link", "set", "right", "up")
	awaitUp(t, l.a, "left")
	awaitUp(t, l.b, "right")
	return l
}

// awaitUp waits until the kernel's link watch has seen the cable: before, what is sent is lost.
func awaitUp(t *testing.T, ns, device string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // the kernel can only be asked
		out, err := exec.Command("ip", "-n", ns, "link", "show", device).CombinedOutput()
		if err == nil && strings.Contains(string(out), "state UP") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not up: %v\n%s", device, err, out)
		}
	}
}

func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

func command(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// within runs f in a namespace and waits for it. Sockets that f opens stay there.
func within(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(ns)
		if err == nil {
			defer h.Close()
			err = netns.Set(h)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Errorf("in %s: %v", ns, err)
	}
}

// listener is a Conn that runs in its namespace.
type listener struct {
	*conn.Conn
	heard chan conn.Received
	log   *syncBuffer
}

func listen(t *testing.T, ns string, o conn.Options) *listener {
	t.Helper()
	l := &listener{heard: make(chan conn.Received, 1024), log: &syncBuffer{}}
	o.Log = slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	within(t, ns, func() (err error) {
		l.Conn, err = conn.Listen(o)
		return err
	})
	if l.Conn == nil {
		t.FailNow()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		within(t, ns, func() error { return l.Run(ctx, func(r conn.Received) { l.heard <- r }) })
	})
	t.Cleanup(func() {
		cancel()
		ended.Wait()
		l.Close()
	})
	return l
}

const patience = 10 * time.Second // on a machine that is busy with other things

func (l *listener) next(t *testing.T) conn.Received {
	t.Helper()
	select {
	case r := <-l.heard:
		return r
	case <-time.After(patience):
		t.Fatalf("nothing heard; %+v\n%s", l.Stats(), l.log)
		panic("unreachable")
	}
}

func advert(vrid uint8) vrrp.Advert {
	return vrrp.Advert{Version: vrrp.V3, VRID: vrid, Priority: 100, Interval: time.Second, Addresses: vips}
}

// forged is a packet with any header; our own sockets don't send such.
type forged struct {
	src, dst netip.Addr
	ttl      int
	payload  []byte
}

func forge(t *testing.T, ns, device string, packets ...forged) {
	t.Helper()
	within(t, ns, func() error {
		c, err := net.ListenPacket("ip4:112", "0.0.0.0")
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := ipv4.NewRawConn(c)
		if err != nil {
			return err
		}
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		for _, p := range packets {
			h := &ipv4.Header{
				Version: 4, Len: 20, TotalLen: 20 + len(p.payload), TTL: p.ttl, Protocol: 112,
				Src: p.src.AsSlice(), Dst: p.dst.AsSlice(),
			}
			if err := raw.WriteTo(h, p.payload, &ipv4.ControlMessage{IfIndex: ifi.Index}); err != nil {
				return err
			}
		}
		return nil
	})
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

package arbitertest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Wire is a TCP connection's way to a server, that a test can stall: nothing arrives any more in
// either direction and nobody is told, as with a dead switch or a half-open connection.
type Wire struct {
	target string
	label  func(*bufio.Reader) string
	ln     net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	free    *sync.Cond
	conns   map[net.Conn]struct{}
	stalled func(label string) bool // nil: none is
	answers bool                    // only what comes from the target is held back
	closed  bool
}

// NewWire leads to target until the test ends. Label, which may be nil, tells from the first bytes of
// a connection who made it.
func NewWire(t testing.TB, target string, label func(*bufio.Reader) string) *Wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("wire to %s: %v", target, err)
	}
	w := &Wire{target: target, label: label, ln: ln, conns: map[net.Conn]struct{}{}}
	w.free = sync.NewCond(&w.mu)
	w.wg.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// Address is where to connect to.
func (w *Wire) Address() string { return w.ln.Addr().String() }

// Stall holds back everything on connections with one of the labels; on all when none is given.
func (w *Wire) Stall(labels ...string) {
	set := map[string]bool{}
	for _, l := range labels {
		set[l] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = false
	w.stalled = func(l string) bool { return len(set) == 0 || set[l] }
}

// StallAnswers holds back what the target says, while it hears everything.
func (w *Wire) StallAnswers() {
	w.Stall()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = true
}

// Heal lets everything through again, and closes what was held back: what a switch has swallowed
// doesn't come back.
func (w *Wire) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled = nil
	for c := range w.conns {
		c.Close()
	}
	w.free.Broadcast()
}

func (w *Wire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.ln.Close()
	w.Heal()
	w.wg.Wait()
}

func (w *Wire) accept() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		if !w.add(c) {
			return
		}
		w.wg.Go(func() { w.carry(c) })
	}
}

func (w *Wire) add(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.Close()
		return false
	}
	w.conns[c] = struct{}{}
	return true
}

func (w *Wire) remove(c net.Conn) {
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
	c.Close()
}

// carry takes one connection to the target and back.
func (w *Wire) carry(here net.Conn) {
	defer w.remove(here)
	in, label := bufio.NewReaderSize(here, 8192), ""
	if w.label != nil {
		label = w.label(in)
	}
	if !w.pass(label, false) {
		return
	}
	there, err := net.Dial("tcp", w.target)
	if err != nil || !w.add(there) {
		return
	}
	defer w.remove(there)
	var wg sync.WaitGroup
	wg.Go(func() { w.copy(there, in, label, false); there.Close(); here.Close() })
	wg.Go(func() { w.copy(here, there, label, true); there.Close(); here.Close() })
	wg.Wait()
}

// pass waits while the wire is stalled. After a stall the connection is over.
func (w *Wire) pass(label string, answer bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := false
	for w.stalled != nil && w.stalled(label) && (answer || !w.answers) && !w.closed {
		held = true
		w.free.Wait()
	}
	return !held && !w.closed
}

func (w *Wire) copy(to io.Writer, from io.Reader, label string, answer bool) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !w.pass(label, answer) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Ports are free TCP ports of the loopback, for servers that can't be told to choose.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("free port: %v", err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Local is a port's address on the loopback.
func Local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

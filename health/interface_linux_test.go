package health

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// TestInterfaceFollowsTheCable pulls and plugs a cable in a network namespace of its own.
func TestInterfaceFollowsTheCable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("needs ip (Debian package iproute2): %v", err)
	}
	name := fmt.Sprintf("svcable%d", os.Getpid())
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ip("netns", "add", name)
	t.Cleanup(func() { ip("netns", "del", name) })
	ip("-n", name, "link", "add", "here", "type", "veth", "peer", "name", "there")

	// says asks in the namespace, on a thread that ends afterwards, until the answer is the wanted one.
	says := func(text string) {
		t.Helper()
		got := make(chan string, 1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread stays in the namespace
			there, err := netns.GetFromName(name)
			if err == nil {
				err = netns.Set(there)
			}
			for began := time.Now(); err == nil && time.Since(began) < 5*time.Second; runtime.Gosched() {
				answer := "good"
				if bad := (Interface{"here"}).Probe(t.Context()); bad != nil {
					answer = bad.Error()
				}
				if answer == text {
					got <- answer
					return
				}
			}
			got <- fmt.Sprint("something else for 5 s; ", err)
		}()
		if g := <-got; g != text {
			t.Errorf("%s, want %q", g, text)
		}
	}
	says("interface here is down")
	ip("-n", name, "link", "set", "here", "up")
	says("interface here has no carrier")
	ip("-n", name, "link", "set", "there", "up")
	says("good")
	ip("-n", name, "link", "set", "there", "down")
	says("interface here has no carrier")
}

//go:build linux

package netns_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/test/lab"
)

// proxies is two routers with a proxy's configuration, as most people have it: a VIP by VRRP alone, and a check that
// lowers the priority. Each is a network namespace on one cable.
type proxies struct {
	t    *testing.T
	dir  string
	file string
}

const proxyFile = `
cluster:
  nodes:
    lb1: {}
    lb2: {}
groups:
  web:
    protection: vrrp
    preempt: true
    priority: {lb1: 200, lb2: 100}
    instances:
      - {interface: eth0, vrid: 51, addresses: [192.0.2.10/24]}
    checks:
      - {name: nginx, script: {path: %s}, interval: 3s, fall: 2, rise: 3, weight: -150}
`

// nginx answers as the file of its router says: broken or not.
const nginx = "#!/bin/sh\n[ -e \"${0%/*}/$SOLEVIP_NODE.broken\" ] && echo 'nginx is not running' && exit 1\nexit 0\n"

func newProxies(t *testing.T) *proxies {
	t.Helper()
	if err := lab.Available(lab.Solevip); err != nil {
		t.Skip(err)
	}
	p := &proxies{t: t, dir: t.TempDir()}
	// A check may not be one that others could change, and a temporary directory is everybody's.
	safe, err := os.MkdirTemp("/root", ".solevip-test-")
	p.must(err)
	t.Cleanup(func() { os.RemoveAll(safe) })
	check := filepath.Join(safe, "check")
	p.must(os.WriteFile(check, []byte(nginx), 0o755))
	p.file = filepath.Join(p.dir, "solevip.yaml")
	p.must(os.WriteFile(p.file, fmt.Appendf(nil, proxyFile, check), 0o644))
	p.dir = safe
	for _, n := range []string{"lb1", "lb2"} {
		p.ip("netns", "add", p.ns(n))
		t.Cleanup(func() { exec.Command("ip", "netns", "del", p.ns(n)).Run() })
	}
	p.ip("link", "add", "eth0", "netns", p.ns("lb1"), "type", "veth", "peer", "name", "eth0", "netns", p.ns("lb2"))
	for n, address := range map[string]string{"lb1": "192.0.2.1/24", "lb2": "192.0.2.2/24"} {
		p.ip("-n", p.ns(n), "address", "add", address, "dev", "eth0")
		p.ip("-n", p.ns(n), "link", "set", "eth0", "up")
		p.ip("-n", p.ns(n), "link", "set", "lo", "up")
	}
	return p
}

func (p *proxies) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxies) ns(node string) string { return fmt.Sprintf("svhealth%d-%s", os.Getpid(), node) }

func (p *proxies) ip(args ...string) {
	p.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		p.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// start starts a router's daemon, which is told to stop at the end.
func (p *proxies) start(node string) {
	p.t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("ip", "netns", "exec", p.ns(node), solevip, "run", "-c", p.file, "--node", node,
		"--state-dir", filepath.Join(p.dir, node, "state"), "--run-dir", filepath.Join(p.dir, node, "run"))
	cmd.Stdout, cmd.Stderr = &log, &log
	p.must(cmd.Start())
	p.t.Cleanup(func() {
		p.must(cmd.Process.Signal(syscall.SIGTERM)) // ip has become solevip
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("%s: %v", node, err)
		}
		if p.t.Failed() {
			p.t.Logf("%s:\n%s", node, log.String())
		}
	})
}

// has reports whether a router's kernel has the VIP.
func (p *proxies) has(node string) bool {
	out, err := exec.Command("ip", "-n", p.ns(node), "-o", "address", "show", "dev", "eth0").Output()
	p.must(err)
	return strings.Contains(string(out), "192.0.2.10/")
}

// await waits until the VIP is on one router and not on the other, and says how long that took.
func (p *proxies) await(on, off string, within time.Duration) time.Duration {
	p.t.Helper()
	began := time.Now()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for ; time.Since(began) < within; <-poll.C {
		if p.has(on) && !p.has(off) {
			return time.Since(began)
		}
	}
	p.t.Fatalf("the VIP is not on %s alone after %v (%s: %t, %s: %t)", on, within, on, p.has(on), off, p.has(off))
	return 0
}

func (p *proxies) check(node string) api.Check {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, solevip, "status", "-o", "json", "--run-dir", filepath.Join(p.dir, node, "run")).Output()
	var s api.Status
	p.must(json.Unmarshal(out, &s))
	if len(s.Groups) != 1 || len(s.Groups[0].Checks) != 1 {
		p.t.Fatalf("status of %s: %s", node, out)
	}
	return s.Groups[0].Checks[0]
}

// TestProxyWhoseServerStops is what every proxy pair has: nginx is checked every 3 s, fall 2, rise 3, weight -150, and the
// routers have 200 and 100. The VIP follows nginx, and comes back with it.
func TestProxyWhoseServerStops(t *testing.T) {
	p := newProxies(t)
	p.start("lb1")
	p.start("lb2")
	p.await("lb1", "lb2", 10*time.Second)

	broken := filepath.Join(p.dir, "lb1.broken")
	p.must(os.WriteFile(broken, nil, 0o644))
	away := p.await("lb2", "lb1", 15*time.Second)
	if c := p.check("lb1"); c.State != "bad" || !strings.Contains(c.Reason, "nginx is not running") || c.Weight != -150 {
		t.Errorf("check on lb1: %+v", c)
	}
	if c := p.check("lb2"); c.State != "good" {
		t.Errorf("check on lb2: %+v", c)
	}
	p.must(os.Remove(broken))
	back := p.await("lb1", "lb2", 20*time.Second)
	// Two runs that fail lie 3 to 6 s after the fault, three that succeed 6 to 9 s after its end; then adverts every second.
	if away < 3*time.Second || away > 11*time.Second || back < 6*time.Second || back > 14*time.Second {
		t.Errorf("away after %v, back after %v", away, back)
	}
	figures = append(figures, fmt.Sprintf("proxy, nginx stops (3 s x 2, weight -150): moved after %.1f s, back %.1f s after it runs again", away.Seconds(), back.Seconds()))
}

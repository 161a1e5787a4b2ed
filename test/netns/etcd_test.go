//go:build linux

package netns_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// etcds are three etcd servers on the arbiter's machine: a ledger that is somebody else's.
type etcds struct {
	*cluster
	dir     string
	running map[int]*exec.Cmd
}

const etcdServers = 3

// etcdAddress is where the arbiter's machine is.
func etcdAddress() string {
	n, _ := lab.NodeNamed("arb")
	return n.Addr.String()
}

func etcdURL(i int) string  { return fmt.Sprintf("http://%s:%d", etcdAddress(), 2379+10*i) }
func etcdPeer(i int) string { return fmt.Sprintf("http://%s:%d", etcdAddress(), 2380+10*i) }

func (e etcds) start(i int) {
	e.t.Helper()
	var all []string
	for j := range etcdServers {
		all = append(all, fmt.Sprintf("e%d=%s", j, etcdPeer(j)))
	}
	log, err := os.OpenFile(filepath.Join(e.dir, fmt.Sprintf("e%d.log", i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	e.must(err)
	defer log.Close()
	cmd := exec.Command("ip", "netns", "exec", e.Namespace("arb"), "etcd", "--name", fmt.Sprintf("e%d", i),
		"--data-dir", filepath.Join(e.dir, fmt.Sprintf("e%d", i)), "--initial-cluster", strings.Join(all, ","),
		"--listen-client-urls", etcdURL(i), "--advertise-client-urls", etcdURL(i),
		"--listen-peer-urls", etcdPeer(i), "--initial-advertise-peer-urls", etcdPeer(i),
		// An election must not cost a lease: docs/operation.md says how etcd's time-outs follow from the ttl.
		"--heartbeat-interval", "25", "--election-timeout", "250")
	cmd.Stdout, cmd.Stderr = log, log
	e.must(cmd.Start())
	e.running[i] = cmd
}

// stop ends a server as its operator does.
func (e etcds) stop(i int) {
	e.t.Helper()
	e.must(e.running[i].Process.Signal(syscall.SIGTERM))
	e.running[i].Wait()
	delete(e.running, i)
}

// healthy waits until a server answers for the whole.
func (e etcds) healthy(i int) {
	e.t.Helper()
	ctx, cancel := e.within()
	defer cancel()
	for {
		check := exec.CommandContext(ctx, "ip", "netns", "exec", e.Namespace("arb"), "etcdctl", "--endpoints", etcdURL(i), "endpoint", "health")
		check.Env = append(os.Environ(), "ETCDCTL_API=3")
		if check.Run() == nil {
			return
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(e.dir, fmt.Sprintf("e%d.log", i)))
			e.t.Fatalf("etcd server %d is not healthy: %v\n%s", i, context.Cause(ctx), log)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestLedgerOnEtcd runs the same nodes with a ledger that three etcd servers keep. A switchover and a
// crash go as with the embedded one; while a majority of the servers answers, whatever happens to
// them moves nothing.
func TestLedgerOnEtcd(t *testing.T) {
	for _, tool := range []string{"etcd", "etcdctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (test/setup.sh unpacks it): %v", tool, err)
		}
	}
	var urls []string
	for i := range etcdServers {
		urls = append(urls, etcdURL(i))
	}
	c := newClusterOff(t, func(o *lab.Options) { o.Etcd = urls })
	e := etcds{cluster: c, dir: t.TempDir(), running: map[int]*exec.Cmd{}}
	t.Cleanup(func() {
		for i := range e.running {
			e.running[i].Process.Kill()
			e.running[i].Wait()
		}
	})
	c.must(c.Up())
	for i := range etcdServers {
		e.start(i)
	}
	c.whole()
	// How brief it is depends on etcd's disks and elections, so it is a figure and not a limit.
	before := c.epoch(c.holder())
	c.tookOver(c.play(lab.SwitchedOver, 0), before, "released")

	holder := c.holder()
	epoch, from := c.epoch(holder), time.Now()
	for i := range etcdServers {
		e.stop(i)
		e.start(i)
		e.healthy(i)
	}
	c.must(e.running[0].Process.Signal(syscall.SIGSTOP))
	c.nothingMoved(c.watch(from, 3*c.TTL), holder, epoch)
	c.must(e.running[0].Process.Signal(syscall.SIGCONT))
	e.healthy(0)

	r := c.play(lab.Crash, 0)
	c.tookOver(r, epoch, "power-off-verified")
}

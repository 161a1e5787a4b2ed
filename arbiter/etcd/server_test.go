package etcd

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/solevip/solevip/arbiter/arbitertest"
)

// debianEtcd is the server that Debian 12 has, 3.4.
func debianEtcd(t *testing.T) string {
	t.Helper()
	unpacked, err := filepath.Abs("../../bin/tools/usr/bin/etcd") // as test/setup.sh does
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", unpacked} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no etcd on this machine: run test/setup.sh, or apt-get install etcd-server")
	return ""
}

var buildOnce = sync.OnceValues(buildEtcd)

// currentEtcd is the server that the module test/etcd names, built once into the user's cache.
func currentEtcd(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Skipf("a current etcd can't be built here (without its modules, or a way to get them): %v", err)
	}
	return path
}

func buildEtcd() (string, error) {
	dir, err := filepath.Abs("../../test/etcd")
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "solevip", fmt.Sprintf("etcd-%.6x", sha256.Sum256(sum)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	build := exec.Command("go", "build", "-o", fresh, "go.etcd.io/etcd/server/v3")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Rename(fresh, path)
}

// members are three etcd servers, with a wire in front of each for its clients, and one for its peers.
type members struct {
	t       *testing.T
	binary  string
	dir     string
	extra   []string
	scheme  string // of the clients' URLs
	tls     *TLS   // for clients, nil for http
	members []*member
}

// member is one etcd server.
type member struct {
	name         string
	client, peer int // ports
	clients      *arbitertest.Wire
	peers        *arbitertest.Wire
	process      *exec.Cmd
	id           string // of the member, in hex, as its peers know it
}

// startEtcd starts three servers, which are killed when the test ends.
func startEtcd(t *testing.T, binary string) *members {
	t.Helper()
	return startEtcdAt(t, "http", nil, binary)
}

func startEtcdAt(t *testing.T, scheme string, tls *TLS, binary string, extra ...string) *members {
	t.Helper()
	e := &members{t: t, binary: binary, dir: t.TempDir(), extra: extra, scheme: scheme, tls: tls}
	ports := arbitertest.Ports(t, 6)
	for i := range 3 {
		m := &member{name: fmt.Sprintf("m%d", i), client: ports[2*i], peer: ports[2*i+1]}
		m.clients = arbitertest.NewWire(t, arbitertest.Local(m.client), nil)
		m.peers = arbitertest.NewWire(t, arbitertest.Local(m.peer), sender)
		e.members = append(e.members, m)
	}
	t.Cleanup(func() {
		for _, m := range e.members {
			e.kill(m)
		}
	})
	for _, m := range e.members {
		e.start(m)
	}
	e.ready()
	return e
}

// sender reads from a peer's first request which member it is of.
func sender(r *bufio.Reader) string {
	for n := 1; n < r.Size(); n = r.Buffered() + 1 {
		if _, err := r.Peek(n); err != nil {
			return ""
		}
		head, _ := r.Peek(r.Buffered())
		if _, after, found := strings.Cut(string(head), "X-Server-From: "); found && strings.Contains(after, "\r\n") {
			id, _, _ := strings.Cut(after, "\r\n")
			return id
		}
		if strings.Contains(string(head), "\r\n\r\n") {
			return ""
		}
	}
	return ""
}

// start begins, or begins again with the same disk.
func (e *members) start(m *member) {
	e.t.Helper()
	var peers []string
	for _, p := range e.members {
		peers = append(peers, p.name+"=http://"+p.peers.Address())
	}
	log, err := os.OpenFile(filepath.Join(e.dir, m.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	m.process = exec.Command(e.binary, append([]string{
		"--name", m.name, "--data-dir", filepath.Join(e.dir, m.name),
		"--listen-client-urls", e.scheme + "://" + arbitertest.Local(m.client), "--advertise-client-urls", e.scheme + "://" + m.clients.Address(),
		"--listen-peer-urls", "http://" + arbitertest.Local(m.peer), "--initial-advertise-peer-urls", "http://" + m.peers.Address(),
		"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-token", "test",
		"--heartbeat-interval", "50", "--election-timeout", "500", "--snapshot-count", "1000",
	}, e.extra...)...)
	m.process.Stdout, m.process.Stderr = log, log
	m.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.process.Start(); err != nil {
		e.t.Fatalf("start etcd %s: %v", m.name, err)
	}
}

// kill ends a member's process without a word, also when it is stopped.
func (e *members) kill(m *member) {
	if m.process == nil {
		return
	}
	m.process.Process.Kill()
	m.process.Wait()
	m.process = nil
}

func (e *members) signal(m *member, s syscall.Signal) {
	if err := m.process.Process.Signal(s); err != nil {
		e.t.Errorf("signal %v to %s: %v", s, m.name, err)
	}
}

func (e *members) endpoints() []string {
	var out []string
	for _, m := range e.members {
		out = append(out, e.scheme+"://"+m.clients.Address())
	}
	return out
}

// client asks the members directly, past the wires.
func (e *members) client(of ...*member) *clientv3.Client {
	e.t.Helper()
	if len(of) == 0 {
		of = e.members
	}
	var urls []string
	for _, m := range of {
		urls = append(urls, e.scheme+"://"+arbitertest.Local(m.client))
	}
	conf := clientv3.Config{Endpoints: urls, Logger: zap.NewNop()}
	if e.tls != nil {
		var err error
		if conf.TLS, err = e.tls.config(); err != nil {
			e.t.Fatal(err)
		}
	}
	c, err := clientv3.New(conf)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// until waits for something that must come about.
func (e *members) until(what string, limit time.Duration, cond func(ctx context.Context) bool) {
	e.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); pause(e.t.Context(), 20*time.Millisecond) {
		ctx, cancel := context.WithTimeout(e.t.Context(), time.Second)
		ok := cond(ctx)
		cancel()
		if ok {
			return
		}
	}
	for _, m := range e.members {
		b, _ := os.ReadFile(filepath.Join(e.dir, m.name+".log"))
		e.t.Logf("%s: ...%s", m.name, b[max(0, len(b)-1500):])
	}
	e.t.Fatalf("after %v: not yet %s", limit, what)
}

// ready waits until every member answers a linearizable read, and learns their ids.
func (e *members) ready() {
	e.t.Helper()
	for _, m := range e.members {
		c := e.client(m)
		e.until(m.name+" to answer", 30*time.Second, func(ctx context.Context) bool {
			got, err := c.Get(ctx, "x")
			if err == nil {
				m.id = fmt.Sprintf("%x", got.Header.MemberId)
			}
			return err == nil
		})
	}
}

// leader is the leading member, once there is one that runs.
func (e *members) leader() *member {
	e.t.Helper()
	var found *member
	e.until("a leader", 20*time.Second, func(ctx context.Context) bool {
		for _, m := range e.members {
			if m.process == nil {
				continue
			}
			got, err := e.client(m).Status(ctx, e.scheme+"://"+arbitertest.Local(m.client))
			if err != nil {
				continue
			}
			for _, l := range e.members {
				if l.process != nil && got.Leader != 0 && l.id == fmt.Sprintf("%x", got.Leader) {
					found = l
					return true
				}
			}
		}
		return false
	})
	return found
}

// isolate cuts a member off from the others: nothing arrives, nobody is told.
func (e *members) isolate(m *member) {
	for _, o := range e.members {
		if o == m {
			o.peers.Stall()
		} else {
			o.peers.Stall(m.id)
		}
	}
}

func (e *members) heal() {
	for _, m := range e.members {
		m.peers.Heal()
		m.clients.Heal()
	}
}

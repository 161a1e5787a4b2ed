package conn_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/vrrp"
	"github.com/solevip/solevip/vrrp/conn"
)

// TestKeepalived backs up a keepalived, takes over when it gives up, keeps a lesser one in
// backup, and yields to a better one. It is the protocol and nothing else: every wish is granted.
func TestKeepalived(t *testing.T) {
	t.Parallel()
	need(t, "keepalived")
	unicast := "unicast_src_ip 192.0.2.1\n unicast_peer { 192.0.2.2 }"
	rows := []struct {
		name   string
		config func(*vrrp.Config)
		peers  []netip.Addr
		says   string // in keepalived's configuration
	}{
		{"version 3", func(c *vrrp.Config) { c.Interval = 500 * time.Millisecond }, nil, "version 3\n advert_int 0.5"},
		{"version 3 unicast", func(c *vrrp.Config) { c.Interval = 500 * time.Millisecond }, []netip.Addr{left}, "version 3\n advert_int 0.5\n " + unicast},
		{"version 3 with another interval than ours", func(c *vrrp.Config) { c.Interval = time.Second }, nil, "version 3\n advert_int 0.5"},
		{"version 2", func(c *vrrp.Config) { c.Version, c.Interval = vrrp.V2, time.Second }, nil, "version 2\n advert_int 1"},
		{"version 2 with a password", func(c *vrrp.Config) { c.Version, c.Interval, c.Auth = vrrp.V2, time.Second, vrrp.Pass("s3cret") }, nil,
			"version 2\n advert_int 1\n authentication {\n auth_type PASS\n auth_pass s3cret\n }"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t)
			config := vrrp.Config{VRID: 50, Priority: 100, Preempt: true, Address: right, Addresses: vips}
			r.config(&config)
			better := keepalived(t, l.a, 200, r.says)
			us := newRouter(t, l.b, config, r.peers)

			us.await(t, "192.0.2.1 is active at priority 200")
			// Longer than Active_Down_Interval, ours and its, which is less than four intervals.
			long := 4 * config.Interval
			us.stays(t, vrrp.Backup, long)

			better.stop(t)
			us.await(t, "granted")
			if why := us.asked(); !strings.Contains(why, "gave up (priority 0)") {
				t.Errorf("took over because %q", why)
			}

			lesser := keepalived(t, l.a, 50, r.says)
			lesser.await(t, "Entering BACKUP STATE")
			us.stays(t, vrrp.Active, long)
			if strings.Contains(lesser.log.String(), "Entering MASTER STATE") {
				t.Errorf("keepalived did not hear us:\n%s", lesser.log)
			}
			lesser.stop(t)

			better = keepalived(t, l.a, 150, r.says)
			us.await(t, "192.0.2.1 is active at priority 150")
			us.stays(t, vrrp.Backup, time.Second)
			better.stop(t)
			if dropped := us.Stats().Dropped; dropped[conn.Malformed]+dropped[conn.WrongTTL]+dropped[conn.NotPeer] != 0 {
				t.Errorf("dropped some of keepalived's adverts: %v\n%s", dropped, us.log)
			}
			if bad := us.alarms(); len(bad) > 0 {
				t.Errorf("alarms about a neighbour that is configured alike: %q", bad)
			}
		})
	}
}

// TestReleasedHolderHandsOver: our priority 0 makes a keepalived in backup take over within its skew.
func TestReleasedHolderHandsOver(t *testing.T) {
	t.Parallel()
	need(t, "keepalived")
	l := newLink(t)
	us := newRouter(t, l.b, vrrp.Config{VRID: 50, Priority: 200, Address: right, Addresses: vips, Interval: time.Second}, nil)
	us.await(t, "granted")
	k := keepalived(t, l.a, 100, "version 3\n advert_int 1")
	k.await(t, "Entering BACKUP STATE")
	us.stays(t, vrrp.Active, 2*time.Second) // it has heard us
	begin := time.Now()
	us.events <- vrrp.Stopped{}
	k.await(t, "Entering MASTER STATE")
	// Its skew is 0.61 s, silence would take it 3.61 s.
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("keepalived took over after %v", took)
	}
	k.stop(t)
}

// daemon is a keepalived in a namespace.
type daemon struct {
	cmd *exec.Cmd
	log *syncBuffer
	end sync.Once
}

func keepalived(t *testing.T, ns string, priority int, says string) *daemon {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("vrrp_instance x {\n state BACKUP\n interface left\n virtual_router_id 50\n priority %d\n %s\n virtual_ipaddress {\n", priority, says)
	for _, ip := range vips {
		text += fmt.Sprintf("  %v/32\n", ip)
	}
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(text+" }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: &syncBuffer{}}
	d.cmd = exec.Command("ip", "netns", "exec", ns, "keepalived", "--dont-fork", "--vrrp", "--log-console",
		"--use-file", file, "--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.stop(t) })
	return d
}

func (d *daemon) stop(t *testing.T) {
	d.end.Do(func() {
		if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("stop keepalived: %v", err)
		}
		d.cmd.Wait()
	})
}

func (d *daemon) await(t *testing.T, words string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(d.log.String(), words); {
		if time.Now().After(end) {
			t.Fatalf("keepalived doesn't say %q:\n%s", words, d.log)
		}
		time.Sleep(10 * time.Millisecond) // another process's log can only be looked at
	}
}

// router is a machine on a Conn, as a daemon would run it, for a group without protection.
type router struct {
	*listener
	events chan vrrp.Event
	said   chan string // the machine's State and Why after each step

	mu     sync.Mutex
	why    string // of the last Want
	alarm  []string
	broken error
}

func newRouter(t *testing.T, ns string, c vrrp.Config, peers []netip.Addr) *router {
	t.Helper()
	r := &router{
		listener: listen(t, ns, conn.Options{Interface: "right", Source: right, Peers: peers}),
		events:   make(chan vrrp.Event),
		said:     make(chan string, 4096),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { r.loop(ctx, vrrp.NewMachine(c)) })
	t.Cleanup(func() {
		cancel()
		ended.Wait()
		if r.broken != nil {
			t.Errorf("send: %v", r.broken)
		}
	})
	return r
}

func (r *router) loop(ctx context.Context, m *vrrp.Machine) {
	begin := time.Now()
	r.step(begin, m, vrrp.Started{})
	for {
		var due <-chan time.Time
		if at, ok := m.Wake(); ok {
			due = time.After(at - time.Since(begin))
		}
		select {
		case h := <-r.heard:
			r.step(begin, m, vrrp.Heard{Advert: h.Advert, From: h.From})
		case e := <-r.events:
			r.step(begin, m, e)
		case <-due:
			r.step(begin, m, vrrp.Ticked{})
		case <-ctx.Done():
			return
		}
	}
}

func (r *router) step(begin time.Time, m *vrrp.Machine, e vrrp.Event) {
	for _, a := range m.Step(time.Since(begin), e) {
		switch a := a.(type) {
		case vrrp.Want:
			r.mu.Lock()
			r.why = a.Why
			r.mu.Unlock()
			r.step(begin, m, vrrp.Granted{})
		case vrrp.Unwant:
			r.step(begin, m, vrrp.Revoked{Yield: true})
		case vrrp.Send:
			if err := r.Send(m.Advert(a.Priority)); err != nil {
				r.broken = err
			}
		case vrrp.Alarm:
			r.mu.Lock()
			r.alarm = append(r.alarm, a.Text)
			r.mu.Unlock()
		}
	}
	select {
	case r.said <- m.State().String() + ": " + m.Why():
	default: // a test that doesn't look
	}
}

func (r *router) asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

func (r *router) alarms() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alarm
}

// await waits until the machine's reason contains words.
func (r *router) await(t *testing.T, words string) {
	t.Helper()
	last, end := "", time.After(patience)
	for {
		select {
		case last = <-r.said:
			if strings.Contains(last, words) {
				return
			}
		case <-end:
			t.Fatalf("the machine is %q, want %q; %+v\n%s", last, words, r.Stats(), r.log)
		}
	}
}

// stays watches the machine for a while, in which it must step (adverts come and go) and not leave its state.
func (r *router) stays(t *testing.T, s vrrp.State, d time.Duration) {
	t.Helper()
	steps := 0
	for end := time.After(d); ; {
		select {
		case said := <-r.said:
			steps++
			if !strings.HasPrefix(said, s.String()+": ") {
				t.Fatalf("left %v: %s", s, said)
			}
		case <-end:
			if steps == 0 && d > time.Second {
				t.Fatalf("nothing happened in %v", d)
			}
			return
		}
	}
}

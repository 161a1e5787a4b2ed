package daemon_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/daemon"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/vrrp"
)

const (
	ttl    = 3 * time.Second
	margin = 100 * time.Millisecond
	beat   = ttl / 4
)

var takeover = claim.Takeover(ttl, margin)

// cluster is two members, one arbiter in the ledger only, and a group "db" that a story may alter.
type cluster struct {
	t       *testing.T
	tape    *tape
	ledger  *ledger
	segment *segment
	second  *segment // of the group's second virtual router, if it has one
	machine map[string]*machine

	protection arbiter.Protection
	unplanned  bool // no fence devices
	shared     []string
	hook       func(ctx context.Context, node, stage string, f hook.Facts) error
	post       bool
	answers    map[string]bool // machines that answer at the cluster port
	warnings   []string
	manual     bool // rejoin: manual
	members    daemon.Members
	checks     func(node string) []daemon.Check
}

// machine is a node: what survives its daemon.
type machine struct {
	name    string
	address netip.Addr
	boot    int
	dir     string
	kernel  *kernel
	bmc     *bmc
	running *running
}

// running is a daemon at work.
type running struct {
	*daemon.Daemon
	process *process
	replica *replica
	links   []*link
	stop    context.CancelCauseFunc
	done    chan error
}

// story runs a test of a cluster in virtual time, and checks what must hold in every story.
func story(t *testing.T, tell func(t *testing.T, c *cluster)) {
	t.Helper()
	dir := t.TempDir() // outside of the bubble: it outlives it
	synctest.Test(t, func(t *testing.T) {
		tp := &tape{began: time.Now()}
		c := &cluster{
			t: t, tape: tp, ledger: newLedger(tp), segment: &segment{tape: tp}, machine: map[string]*machine{},
			protection: arbiter.ProtectFence, answers: map[string]bool{},
		}
		for i, name := range []string{"db1", "db2"} {
			m := &machine{name: name, boot: 1, address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), dir: filepath.Join(dir, name)}
			m.kernel = newKernel(tp, name, c.clock)
			m.bmc = &bmc{tape: tp, target: name, takes: 10 * time.Millisecond, power: fence.PowerOn, cutOff: func() { c.cutOff(m) }}
			c.machine[name] = m
		}
		defer func() {
			c.end()
			c.oneHolder()
			if t.Failed() {
				t.Logf("what happened:\n%v", tp)
			}
		}()
		tell(t, c)
	})
}

// clock begins late, as the clock of a machine that has been up for a while.
func (c *cluster) clock() time.Duration { return time.Hour + time.Since(c.tape.began) }

func (c *cluster) now() time.Duration { return time.Since(c.tape.began) }

func (c *cluster) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		m := c.machine[name]
		r := &running{
			process: &process{kernel: m.kernel}, replica: &replica{ledger: c.ledger, node: name, delay: 5 * time.Millisecond},
			done: make(chan error, 1),
		}
		d, err := daemon.New(c.options(m, r))
		if err != nil {
			c.t.Fatal(err)
		}
		ctx, stop := context.WithCancelCause(c.t.Context())
		r.Daemon, r.stop, m.running = d, stop, r
		go func() { r.done <- d.Run(ctx) }()
	}
}

func (c *cluster) options(m *machine, r *running) daemon.Options {
	o := daemon.Options{
		Node: m.name, Cluster: "orders", Version: "test", TTL: ttl, Margin: margin, RunDir: m.dir, Clock: c.clock, Warnings: c.warnings, RejoinManually: c.manual,
		Boot:   arbiter.Boot{Node: m.name, Kernel: fmt.Sprintf("boot-%d", m.boot), Incarnation: "i-" + m.name},
		Kernel: r.process, Fencing: map[string]*fence.Plan{},
		Reachable: func(_ context.Context, node string) bool { return c.answers[node] },
		Hook: func(ctx context.Context, _ hook.Hook, stage string, f hook.Facts) error {
			if r.process.call("hook", f.Group) != nil {
				return errKilled
			}
			c.tape.add("%s %s %s epoch %d", m.name, stage, f.Group, f.Epoch)
			if c.hook == nil {
				return nil
			}
			err := c.hook(ctx, m.name, stage, f)
			c.tape.add("%s has done %s: %v", m.name, stage, err)
			return err
		},
		Groups: []daemon.Group{c.group("db", m, r)},
	}
	if c.protection != arbiter.ProtectVRRP {
		o.Ledger = r.replica
		if c.members != nil {
			o.Ledger = voting{r.replica, c.members}
		}
	}
	for _, extra := range c.shared {
		o.Groups = append(o.Groups, daemon.Group{Name: extra, Protection: c.protection, Member: true, Priority: priorities})
	}
	for _, name := range []string{"db1", "db2"} {
		other := c.machine[name]
		o.Nodes = append(o.Nodes, daemon.Node{Name: name, Address: other.address})
		if name == m.name || c.unplanned {
			continue
		}
		plan, err := fence.NewPlan([]fence.Level{{other.bmc}}, fence.Budgets{})
		if err != nil {
			c.t.Fatal(err)
		}
		o.Fencing[name] = plan
	}
	return o
}

var priorities = map[string]uint8{"db1": 200, "db2": 100}

func (c *cluster) group(name string, m *machine, r *running) daemon.Group {
	g := daemon.Group{
		Name: name, Protection: c.protection, Member: true, Priority: priorities, Addresses: []string{"10.0.0.100/24"},
		Promote: hook.Hook{Path: "/promote", Timeout: 2 * time.Second}, Demote: hook.Hook{Path: "/demote", Timeout: 2 * time.Second},
		Announce: daemon.Announce{Repeat: 2, Delay: 5 * time.Second, Refresh: time.Minute},
	}
	if c.post {
		g.Post = hook.Hook{Path: "/post"}
	}
	if c.checks != nil {
		g.Checks = c.checks(m.name)
	}
	for i, s := range []*segment{c.segment, c.second} {
		if s == nil {
			continue
		}
		l := s.link(m.name, m.address)
		r.links = append(r.links, l)
		g.Instances = append(g.Instances, daemon.Instance{Link: l, Router: vrrp.Config{
			VRID: uint8(50 + i), Priority: priorities[m.name], Address: m.address, Preempt: true,
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.100")}, Protected: c.protection != arbiter.ProtectVRRP,
		}})
	}
	return g
}

// kill is kill -9: nothing that the process does reaches anybody any more, and its files stay as
// they are.
func (c *cluster) kill(name string) {
	c.t.Helper()
	synctest.Wait() // it dies between two events
	c.tape.add("%s is killed", name)
	m := c.machine[name]
	r := m.running
	r.process.mu.Lock()
	r.process.dead = true
	r.process.mu.Unlock()
	r.replica.set(silent)
	for _, l := range r.links {
		l.unplug()
	}
	old := m.dir
	m.dir += "+"
	if err := os.CopyFS(m.dir, os.DirFS(old)); err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	m.running = nil
	c.t.Cleanup(func() {
		r.stop(errors.New("the end"))
		<-r.done
	})
}

// unplug takes a link out of its segment, in both directions: it is in no list any more.
func (l *link) unplug() {
	s := l.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = slices.DeleteFunc(s.links, func(other *link) bool { return other == l })
}

// cutOff is the end of a machine's power: its kernel forgets everything.
func (c *cluster) cutOff(m *machine) {
	c.tape.add("%s has no power", m.name)
	m.kernel.forget()
	m.boot++
}

// stop is SIGTERM; it returns when the daemon has ended.
func (c *cluster) stop(name string) error {
	c.t.Helper()
	c.tape.add("%s is told to stop", name)
	r := c.machine[name].running
	c.machine[name].running = nil
	r.stop(errors.New("terminated"))
	err := <-r.done
	c.tape.add("%s has ended", name)
	return err
}

// end ends every daemon; each must end by itself within a bounded time.
func (c *cluster) end() {
	for _, name := range []string{"db1", "db2"} {
		if c.machine[name].running == nil {
			continue
		}
		began := c.now()
		if err := c.stop(name); err != nil {
			c.t.Errorf("%s: %v", name, err)
		}
		if took := c.now() - began; took > ttl+2*time.Second+beat {
			c.t.Errorf("%s took %v to end", name, took)
		}
	}
}

// oneHolder is G1, as the kernels saw it.
func (c *cluster) oneHolder() {
	c.t.Helper()
	var all []span
	for _, m := range c.machine {
		all = append(all, m.kernel.history()...)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(all); i++ {
		if c.protection != arbiter.ProtectVRRP && all[i].from < all[i-1].to {
			c.t.Errorf("two nodes had the addresses up from %v to %v", all[i].from-time.Hour, all[i-1].to-time.Hour)
		}
	}
}

// await waits until a line of the tape begins like this, from now on or in the moment, and says when.
func (c *cluster) await(begin string, within time.Duration) time.Duration {
	c.t.Helper()
	return c.awaitFrom(c.now(), begin, within)
}

func (c *cluster) awaitFrom(from time.Duration, begin string, within time.Duration) time.Duration {
	c.t.Helper()
	for c.now() <= from+within {
		synctest.Wait()
		if at, found := c.tape.find(begin, from); found {
			return at
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatalf("%q did not happen within %v of %v; what happened:\n%v", begin, within, from, c.tape)
	return 0
}

// held starts both members and waits until db1 holds the group and has announced it.
func (c *cluster) held() {
	c.t.Helper()
	c.start("db1")
	c.await("db1 announces db", 3*takeover)
	c.start("db2")
	time.Sleep(2 * takeover) // each has seen enough of the other
}

func (c *cluster) status(name string) api.Status {
	c.t.Helper()
	s, err := c.machine[name].running.Status(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *cluster) db(name string) api.Group {
	c.t.Helper()
	return c.status(name).Groups[0]
}

func (c *cluster) upOn(name string) bool { return c.machine[name].kernel.up("db") }

func (c *cluster) want(what string, got, want any) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

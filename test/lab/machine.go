//go:build linux

package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// Up powers all machines on.
func (l *Lab) Up() error {
	for _, n := range Nodes {
		if err := l.PowerOn(n.Name); err != nil {
			return err
		}
	}
	return nil
}

// Powered reports whether a machine has power.
func (l *Lab) Powered(node string) bool {
	text, _ := os.ReadFile(l.path(node, "power"))
	return string(text) == "on"
}

// PowerOff takes a machine's power: it is off the network at once, no process of it runs any
// more, and what its kernel knew is gone. Its disk (the state directory) stays. When it returns, all that is true;
// a machine that is off stays off.
func (l *Lab) PowerOff(node string) error { return l.powerOff(node, "power off "+node) }

func (l *Lab) powerOff(node, told string) error {
	if err := known(node); err != nil {
		return err
	}
	return l.locked(func() error {
		if !l.Powered(node) {
			return nil
		}
		l.tell(node, told)
		err := inside(l.Namespace("sw"), func() error { return linkDown(node) })
		if err == nil {
			err = killAll(l.Namespace(node))
		}
		if err == nil {
			err = inside(l.Namespace(node), wipe)
		}
		if err == nil {
			err = os.RemoveAll(l.RunDir(node))
		}
		if err == nil {
			err = os.WriteFile(l.path(node, "power"), []byte("off"), 0o600)
		}
		if err != nil {
			return fmt.Errorf("power off %s: %w", node, err)
		}
		return nil
	})
}

// PowerOn boots a machine: a new boot id, its network, the daemon.
func (l *Lab) PowerOn(node string) error { return l.powerOn(node, l.plugIn) }

// PowerOnWithLeftover boots a machine whose distribution still configures the VIP itself, and
// whose switch port comes up only when the daemon has swept that away: a leftover that is
// reachable for a moment would be two holders whatever the daemon does.
func (l *Lab) PowerOnWithLeftover(ctx context.Context, node string) error {
	return l.powerOn(node, func(n Node) error {
		if err := inside(l.Namespace(node), plantVIP); err != nil {
			return err
		}
		l.tell(node, "plant leftover "+VIP.String())
		if err := l.startDaemon(n); err != nil {
			return err
		}
		if err := l.awaitSwept(ctx, node); err != nil {
			return err
		}
		return inside(l.Namespace("sw"), func() error { return linkUp(node) })
	})
}

// plugIn is how a machine normally comes up: the network, then the daemon.
func (l *Lab) plugIn(n Node) error {
	if err := inside(l.Namespace("sw"), func() error { return linkUp(n.Name) }); err != nil {
		return err
	}
	return l.startDaemon(n)
}

func (l *Lab) powerOn(node string, start func(Node) error) error {
	n, ok := NodeNamed(node)
	if !ok {
		return known(node)
	}
	return l.locked(func() error {
		if l.Powered(node) {
			return nil
		}
		l.tell(node, "power on "+node)
		if err := os.WriteFile(l.path(node, "boot"), []byte(newBootID()), 0o600); err != nil {
			return err
		}
		p := port{addr: n.Addr, far: bmcNet}
		if err := inside(l.Namespace(node), func() error { return configure(p) }); err != nil {
			return fmt.Errorf("power on %s: %w", node, err)
		}
		if err := start(n); err != nil {
			return fmt.Errorf("power on %s: %w", node, err)
		}
		return os.WriteFile(l.path(node, "power"), []byte("on"), 0o600)
	})
}

// newBootID is what /proc/sys/kernel/random/boot_id looks like: a random UUID.
func newBootID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func plantVIP() error {
	link, err := netlink.LinkByName(nodeLink)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(VIP.String() + "/32")
	if err != nil {
		return err
	}
	return netlink.AddrReplace(link, addr)
}

// awaitSwept waits until no interface of a machine has the VIP.
func (l *Lab) awaitSwept(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("the daemon on %s never swept the leftover away", node))
	defer cancel()
	return poll(ctx, func() bool {
		has, err := l.HasVIP(node)
		return err == nil && !has
	})
}

// HasVIP reports whether an interface of a machine has the VIP, as its kernel says.
func (l *Lab) HasVIP(node string) (bool, error) {
	found := false
	err := inside(l.Namespace(node), func() error {
		addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		for _, a := range addrs {
			found = found || a.IP.Equal(VIP.AsSlice())
		}
		return err
	})
	return found, err
}

// Kill kills every process on a machine with SIGKILL. Its kernel lives on, with all it was told.
func (l *Lab) Kill(node string) error {
	if err := l.mustBeOn(node); err != nil {
		return err
	}
	l.tell(node, "kill -9 the daemon on "+node)
	return killAll(l.Namespace(node))
}

// Freeze stops every process on a machine (SIGSTOP). Its kernel lives on.
func (l *Lab) Freeze(node string) error {
	if err := l.mustBeOn(node); err != nil {
		return err
	}
	l.tell(node, "freeze (SIGSTOP) the daemon on "+node)
	return signalAll(l.Namespace(node), syscall.SIGSTOP)
}

// Thaw lets a frozen machine go on.
func (l *Lab) Thaw(node string) error {
	if err := l.mustBeOn(node); err != nil {
		return err
	}
	l.tell(node, "thaw the daemon on "+node)
	return signalAll(l.Namespace(node), syscall.SIGCONT)
}

// Start starts the daemon of a machine whose daemon was killed or stopped, on the same boot.
func (l *Lab) Start(node string) error {
	if err := l.mustBeOn(node); err != nil {
		return err
	}
	if pids, err := processes(l.Namespace(node)); err != nil || len(pids) > 0 {
		return errors.Join(err, fmt.Errorf("start the daemon on %s: processes %v still run there", node, pids))
	}
	n, _ := NodeNamed(node)
	l.tell(node, "start the daemon on "+node)
	return l.startDaemon(n)
}

// Stop stops the daemon of a machine as an operator does (SIGTERM), and waits for its end.
func (l *Lab) Stop(ctx context.Context, node string) error {
	if err := l.mustBeOn(node); err != nil {
		return err
	}
	text, err := os.ReadFile(l.path(node, "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	l.tell(node, "stop (SIGTERM) the daemon on "+node)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the daemon on %s: %w", node, err)
	}
	return poll(ctx, func() bool {
		pids, err := processes(l.Namespace(node))
		return err == nil && len(pids) == 0
	})
}

// Log opens the daemon's log of a machine: all of its boots, oldest first.
func (l *Lab) Log(node string) string { return l.path(node, "log") }

// startDaemon starts the daemon in a session of its own, so that it outlives this process.
func (l *Lab) startDaemon(n Node) error {
	argv, env := l.daemon().command(l, n)
	if argv == nil {
		return nil
	}
	if err := os.MkdirAll(l.RunDir(n.Name), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(l.Log(n.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := inside(l.Namespace(n.Name), func() error { return startFirst(cmd) }); err != nil {
		return fmt.Errorf("start %s: %w", strings.Join(argv, " "), err)
	}
	l.children.Go(func() { cmd.Wait() })
	return os.WriteFile(l.path(n.Name, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// startFirst starts a program that goes before what else runs on this machine: a server's daemon
// would not wait for somebody's compiler, and three servers share these processors. It runs on a locked thread, whose
// niceness the program inherits.
func startFirst(cmd *exec.Cmd) error {
	const first = -15
	thread := syscall.Gettid()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, thread, first); err == nil {
		defer syscall.Setpriority(syscall.PRIO_PROCESS, thread, 0)
	}
	return cmd.Start()
}

func known(node string) error {
	if _, ok := NodeNamed(node); !ok {
		return fmt.Errorf("machine %q: there are db1, db2 and arb", node)
	}
	return nil
}

func (l *Lab) mustBeOn(node string) error {
	if err := known(node); err != nil {
		return err
	}
	if !l.Powered(node) {
		return fmt.Errorf("machine %s is off: power it on first", node)
	}
	return nil
}

// poll asks until the answer is yes or ctx ends. What it asks about has no way to say so itself.
func poll(ctx context.Context, ask func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Memory is the resident memory of all processes on a machine, in bytes.
func (l *Lab) Memory(node string) (int64, error) {
	pids, err := processes(l.Namespace(node))
	if err != nil {
		return 0, err
	}
	var total int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it ended meanwhile
		}
		_, after, _ := strings.Cut(string(text), "VmRSS:")
		var kilobytes int64
		fmt.Sscan(after, &kilobytes)
		total += kilobytes * 1024
	}
	return total, nil
}

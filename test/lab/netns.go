//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

// inside runs f on a thread that is in a network namespace. Sockets that f opens and processes
// that it starts stay there; f itself must not start goroutines that need the namespace.
func inside(name string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- insideLocked(name, f) }()
	return <-done
}

// insideLocked switches a thread of its own. It is never the process's first one: that thread's
// namespace is what /proc shows as the process's, and [processes] goes by it.
func insideLocked(name string, f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		defer runtime.UnlockOSThread() // held meanwhile, so that the next goroutine gets another
		return inside(name, f)
	}
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err)
	}
	defer home.Close()
	there, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	err = f()
	if back := netns.Set(home); back != nil {
		return errors.Join(err, back) // still locked: the thread ends with this goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// makeNamespace makes an empty namespace with a name, as `ip netns add` does.
func makeNamespace(name string) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in the new namespace and ends here
		if unix.Gettid() == unix.Getpid() {
			done <- makeNamespace(name)
			runtime.UnlockOSThread()
			return
		}
		h, err := netns.NewNamed(name)
		if err == nil {
			err = h.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return nil
}

// namespacesOf lists the parts of a lab that exist, also when its files are gone.
func namespacesOf(lab string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, e := range entries {
		part, ok := strings.CutPrefix(e.Name(), namespace(lab, ""))
		if ok && isPart(part) {
			parts = append(parts, part)
		}
	}
	return parts, nil
}

// isPart keeps lab "a" from taking the namespaces of lab "a-b" for its own.
func isPart(part string) bool {
	if part == "sw" {
		return true
	}
	for _, p := range ports() {
		if p.name == part {
			return true
		}
	}
	return false
}

// processes lists the processes in a namespace. A simulated machine is just that: every process
// in its network namespace, whoever started it and however it detached itself.
func processes(ns string) ([]int, error) {
	var want unix.Stat_t
	if err := unix.Stat(netnsDir+"/"+ns, &want); err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", ns, err)
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t // a process that ended, or a zombie, has no namespace
		if unix.Stat("/proc/"+name+"/ns/net", &st) == nil && st.Ino == want.Ino && st.Dev == want.Dev {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killAll kills every process in a namespace, and those that they started meanwhile, and
// returns when none is left.
func killAll(ns string) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		pids, err := processes(ns)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(pids) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("network namespace %s: processes %v won't die", ns, pids)
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond) // a killed process leaves its namespace a moment later
	}
}

// signalAll sends a signal to every process in a namespace.
func signalAll(ns string, sig syscall.Signal) error {
	pids, err := processes(ns)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("network namespace %s: no process to send %v to", ns, sig)
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send %v to process %d: %w", sig, pid, err))
		}
	}
	return errors.Join(errs...)
}

// deleteNamed removes a namespace's name; the kernel removes the rest when nothing uses it.
func deleteNamed(name string) error {
	if err := netns.DeleteNamed(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

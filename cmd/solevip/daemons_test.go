package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// isolated makes a network namespace for the script's daemons, with a link d0 in it, and removes it at the
// script's end: isolated. It needs what the condition netns says.
func isolated(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: isolated")
	}
	name := fmt.Sprintf("svcmd-%d-%s", os.Getpid(), strings.TrimPrefix(ts.Name(), "script-"))
	ip := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			ts.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ip("netns", "add", name)
	ts.Defer(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			ts.Logf("namespace %s stays: %v\n%s", name, err, out)
		}
	})
	ip("-n", name, "link", "set", "lo", "up")
	ip("-n", name, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
	ip("-n", name, "address", "add", "10.9.0.1/24", "dev", "d0")
	ip("-n", name, "link", "set", "d0", "up")
	ip("-n", name, "link", "set", "d1", "up")
	ts.Setenv("NETNS", name)
}

// condition knows netns: this process may make network namespaces.
func condition(cond string) (bool, error) {
	if cond != "netns" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	_, err := exec.LookPath("ip")
	return err == nil && os.Getuid() == 0, nil
}

// daemons are the running daemons of a script, by node name.
type daemons struct {
	cmd   map[string]*exec.Cmd
	small map[string]bool // runs on a disk of 2 MiB
}

type daemonsKey struct{}

func newDaemons() *daemons { return &daemons{cmd: map[string]*exec.Cmd{}, small: map[string]bool{}} }

func running(ts *testscript.TestScript) *daemons { return ts.Value(daemonsKey{}).(*daemons) }

// small and roomy say on what disk nodes run that begin from now on: small NODE..., roomy NODE...
func small(ts *testscript.TestScript, _ bool, args []string) {
	for _, node := range args {
		running(ts).small[node] = true
	}
}

func roomy(ts *testscript.TestScript, _ bool, args []string) {
	for _, node := range args {
		delete(running(ts).small, node)
	}
}

// fill writes to a small node's disk until nothing goes on it any more: fill NODE
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || !running(ts).small[args[0]] {
		ts.Fatalf("usage: fill NODE, which is small")
	}
	// The daemon's view of the files, from outside of its mount namespace.
	dir := fmt.Sprintf("/proc/%d/root%s", running(ts).cmd[args[0]].Process.Pid, ts.MkAbs("state/"+args[0]))
	f, err := os.Create(dir + "/somebody-elses")
	ts.Check(err)
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		ts.Fatalf("fill: %v", err)
	}
}

// ends waits until a daemon ends by itself: ends NODE
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ends NODE")
	}
	c := running(ts).cmd[args[0]]
	delete(running(ts).cmd, args[0])
	late := time.AfterFunc(30*time.Second, func() { _ = c.Process.Kill() })
	err := c.Wait()
	if !late.Stop() {
		ts.Fatalf("%s did not end by itself within 30 s", args[0])
	}
	ts.Logf("%s ended: %v", args[0], err)
}

// begin starts the daemons of some nodes in the script's namespace: begin FILE NODE...
// Each has its own directories, in $RUN/NODE and $WORK/state/NODE, and its log in $WORK/NODE.log.
func begin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: begin FILE NODE...")
	}
	running := running(ts)
	for _, node := range args[1:] {
		log, err := os.OpenFile(ts.MkAbs(node+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		ts.Check(err)
		state, run := ts.MkAbs("state/"+node), ts.Getenv("RUN")+"/"+node
		ts.Check(os.MkdirAll(state, 0o700))
		ts.Check(os.MkdirAll(run, 0o700))
		command := []string{"netns", "exec", ts.Getenv("NETNS")}
		if running.small[node] { // a disk of its own, in a mount namespace that ends with the daemon
			command = append(command, "unshare", "-m", "sh", "-c", `mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"`, state)
		}
		command = append(command, "solevip", "run", "-c", ts.MkAbs(args[0]), "--node", node, "--state-dir", state, "--run-dir", run)
		c := exec.Command("ip", command...)
		c.Stdout, c.Stderr, c.Env = log, log, append(os.Environ(), "PATH="+ts.Getenv("PATH"))
		ts.Check(c.Start())
		ts.Check(log.Close())
		running.cmd[node] = c
		ts.Defer(func() { finish(c, syscall.SIGKILL) })
	}
}

// halt ends daemons as a service manager does, and waits for them: halt NODE...
func halt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: halt NODE...")
	}
	for _, node := range args {
		finish(running(ts).cmd[node], syscall.SIGTERM)
		delete(running(ts).cmd, node)
	}
}

// finish ends a process; one that has ended already is left alone.
func finish(c *exec.Cmd, how syscall.Signal) {
	if c.ProcessState == nil {
		_ = c.Process.Signal(how) // it may just have ended
		_ = c.Wait()              // how it ended is in its log
	}
}

// inside is code (see wantCode) in the script's namespace: in code N ARGS...
func inside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[0] != "code" {
		ts.Fatalf("usage: in code N ARGS...")
	}
	wantCodeOf(ts, args[1], "ip", append([]string{"netns", "exec", ts.Getenv("NETNS"), "solevip"}, args[2:]...)...)
}

// eventually runs the command on a node until what it prints matches: eventually NODE PATTERN ARGS...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: eventually NODE PATTERN ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var out []byte
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		c := exec.Command("solevip", append(args[2:], "--run-dir", ts.Getenv("RUN")+"/"+args[0])...)
		c.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
		out, _ = c.CombinedOutput() // the exit code of status says more than success
		if want.Match(out) {
			return
		}
	}
	log := ts.ReadFile(args[0] + ".log")
	ts.Fatalf("after 30 s %s does not show %s:\n%s\nits log ends:\n%s", args[0], args[1], out, log[max(0, len(log)-4000):])
}

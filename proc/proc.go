// Package proc runs a program in a process group of its own with a deadline, and kills the whole
// group when time is up: hooks and fence scripts are run by it. Nothing that a program started may
// act late, when somebody else holds the group.
//
// It owns the group, the time limit, the cap on output, and the check that nobody but the
// system's owner can change the program ([Check]). It doesn't know what programs mean by their
// exit status. A process that leaves the group (setsid) is out of its reach.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

const (
	// OutputLimit is how much of a program's output is kept, in bytes; the rest is read and dropped.
	OutputLimit = 64 << 10
	// outputGrace is how long a process that the program left behind may keep its output open.
	outputGrace = 100 * time.Millisecond
	// killGrace bounds the wait for a killed program: one that is stuck in the kernel, say on a
	// dead NFS server, dies only when it comes out, but then without another instruction.
	killGrace = time.Second
)

// Command is a program to run.
type Command struct {
	Path string // absolute
	Args []string
	Env  []string // the whole environment; see [Env]
	// Stdin is what the program reads, secrets for instance: nobody else sees it.
	Stdin []byte
	// Timeout is the time limit; zero: only ctx limits it.
	Timeout time.Duration
	// KeepChildren leaves alone what a program that ended in time left running in its group:
	// for hooks, which may start a service. Otherwise all of it is killed.
	KeepChildren bool
}

// Result is how a program ended by itself.
type Result struct {
	Code   int    // exit status
	Output []byte // standard output and error together, at most [OutputLimit]
}

// LastLine is the last line of output that isn't blank: what programs say when they fail.
func (r Result) LastLine() string { return lastLine(r.Output) }

// Run runs the program and waits for it. Any exit status is a result; an error says that the
// program couldn't be started, was killed, or had to be, and carries the cause of ctx.
func Run(ctx context.Context, c Command) (Result, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout,
			fmt.Errorf("time limit of %v: %w", c.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("run %s: %w", c.Path, context.Cause(ctx))
	}
	r := &run{ended: make(chan struct{})}
	go r.run(c)
	stop := context.AfterFunc(ctx, r.kill)
	defer stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
		if !r.endsWithin(killGrace) {
			return Result{}, fmt.Errorf("run %s: killed, but it hangs in the kernel: %w", c.Path, context.Cause(ctx))
		}
	}
	return r.result(ctx, c)
}

// run is one program on its way. The mutex orders killing the group against its end: once
// the program is reaped, the number of its group may be somebody else's.
type run struct {
	mu     sync.Mutex
	group  int  // process group; zero before it started and after it ended
	killed bool // by us, or to be killed as soon as it starts

	ended  chan struct{} // closed last; what follows is then final
	err    error         // from starting or waiting
	output capped
}

// run starts the program and waits for its end, on a thread of its own: the kernel kills the
// program when the thread that started it ends (PR_SET_PDEATHSIG), hence with the daemon.
func (r *run) run(c Command) {
	defer close(r.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Args[0] = c.Path
	cmd.Dir = "/"
	cmd.Env = append([]string{}, c.Env...) // never nil, which would mean ours
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	cmd.Stdout, cmd.Stderr = &r.output, &r.output
	cmd.WaitDelay = outputGrace
	if r.err = ownGroup(cmd); r.err != nil {
		return
	}
	if r.err = cmd.Start(); r.err != nil {
		return
	}
	r.started(cmd.Process.Pid)
	if r.err = awaitExit(cmd.Process.Pid); r.err == nil {
		r.leaderEnded(c.KeepChildren)
		r.err = cmd.Wait()
	}
	if errors.Is(r.err, exec.ErrWaitDelay) {
		r.err = nil // it ended well; what it left behind keeps the output open
	}
}

func (r *run) started(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group = pid
	if r.killed {
		killGroup(pid)
	}
}

// leaderEnded is called while the program is dead but not yet reaped, so that its number
// still names the group.
func (r *run) leaderEnded(keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed || !keep {
		killGroup(r.group)
	}
	r.group = 0
}

func (r *run) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.group != 0 {
		killGroup(r.group)
	}
}

func (r *run) endsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.ended:
		return true
	case <-t.C:
		return false
	}
}

// result sorts an end into what the program said and what was done to it.
func (r *run) result(ctx context.Context, c Command) (Result, error) {
	res := Result{Code: -1, Output: r.output.bytes()}
	var exit *exec.ExitError
	switch {
	case r.err == nil:
		res.Code = 0
		return res, nil
	case errors.As(r.err, &exit) && exit.Exited():
		res.Code = exit.ExitCode()
		return res, nil
	}
	cause := r.err
	if ctx.Err() != nil {
		cause = fmt.Errorf("killed: %w", context.Cause(ctx))
	}
	if last := res.LastLine(); last != "" {
		return res, fmt.Errorf("run %s: %w (last line: %s)", c.Path, cause, last)
	}
	return res, fmt.Errorf("run %s: %w", c.Path, cause)
}

// Env is the environment that programs get: PATH as the daemon has it, a plain locale, and facts
// given as NAME=value.
func Env(facts ...string) []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return append([]string{"PATH=" + path, "LANG=C", "LC_ALL=C"}, facts...)
}

// capped keeps the beginning of what is written to it. One goroutine writes; it may be read
// while a left-over process still writes.
type capped struct {
	mu  sync.Mutex
	buf []byte
}

func (w *capped) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := OutputLimit - len(w.buf)
	w.buf = append(w.buf, p[:min(room, len(p))]...)
	return len(p), nil
}

func (w *capped) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.buf)
}

// lineLimit bounds a line that ends up in an error, in bytes.
const lineLimit = 200

func lastLine(output []byte) string {
	output = bytes.TrimSpace(output)
	line := bytes.TrimSpace(output[bytes.LastIndexByte(output, '\n')+1:])
	if len(line) > lineLimit {
		line = append(bytes.Clone(line[:lineLimit]), "..."...)
	}
	return string(bytes.ToValidUTF8(line, []byte("?")))
}

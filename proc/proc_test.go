package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program writes an executable shell script.
func program(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitPids waits until the file holds n process numbers.
func awaitPids(t *testing.T, file string, n int) []int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		text, _ := os.ReadFile(file)
		if words := strings.Fields(string(text)); len(words) == n {
			var pids []int
			for _, w := range words {
				pid, err := strconv.Atoi(w)
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			return pids
		}
	}
	t.Fatalf("%s never held %d numbers", file, n)
	return nil
}

// gone waits until a process has ended: nothing, or a zombie that init has yet to reap. What
// SIGKILL was sent to is dying, but not always dead by the time that Run returns.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestExitStatusIsAResult(t *testing.T) {
	res, err := Run(t.Context(), Command{Path: program(t, `echo "to $FACT"; echo "it is $1" >&2; exit 3`), Args: []string{"late"}, Env: Env("FACT=you")})
	if err != nil || res.Code != 3 || string(res.Output) != "to you\nit is late\n" || res.LastLine() != "it is late" {
		t.Errorf("got %d %q %q, %v", res.Code, res.Output, res.LastLine(), err)
	}
}

func TestEnvironmentIsOnlyWhatIsGiven(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "x")
	res, err := Run(t.Context(), Command{Path: "/usr/bin/env", Env: Env("A=b")})
	want := "PATH=" + os.Getenv("PATH") + "\nLANG=C\nLC_ALL=C\nA=b\n"
	if err != nil || string(res.Output) != want {
		t.Errorf("environment %q (%v), want %q", res.Output, err, want)
	}
}

func TestTimeLimitKillsTheWholeGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	// A child that ignores TERM, and a grandchild that does too and keeps the output open.
	path := program(t, `
trap '' TERM INT HUP
sh -c 'trap "" TERM; sh -c "echo \$\$ >>'$1'; while :; do sleep 1000; done" & echo $$ >>'$1'; while :; do sleep 1000; done' &
echo $$ >>"$1"
echo "waiting for the database"
while :; do sleep 1000; done`)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var all []int
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		all = awaitPids(t, pids, 3)
		cancel(errors.New("the epoch is another's"))
	}()
	_, err := Run(ctx, Command{Path: path, Args: []string{pids}, Env: Env()})
	<-collected
	if err == nil || !strings.Contains(err.Error(), "the epoch is another's") || !strings.Contains(err.Error(), "last line: waiting for the database") {
		t.Errorf("error %v lacks the cause or the last line", err)
	}
	for _, pid := range all {
		gone(t, pid)
	}
}

func TestTimeoutIsTheCause(t *testing.T) {
	began := time.Now()
	_, err := Run(t.Context(), Command{Path: program(t, "exec sleep 1000"), Env: Env(), Timeout: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "time limit of 50ms") {
		t.Errorf("error %v doesn't name the limit", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestWhatIsLeftBehindIsKilled(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	path := program(t, `sh -c 'echo $$ >'"$1"'; exec sleep 1000' & until [ -s "$1" ]; do sleep 0.01; done; exit 2`)
	res, err := Run(t.Context(), Command{Path: path, Args: []string{pids}, Env: Env()})
	if err != nil || res.Code != 2 {
		t.Errorf("got %d, %v", res.Code, err)
	}
	gone(t, awaitPids(t, pids, 1)[0])
}

func TestWhatIsLeftBehindMayBeKept(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	path := program(t, `sh -c 'echo $$ >'"$1"'; exec sleep 1000' & until [ -s "$1" ]; do sleep 0.01; done`)
	began := time.Now()
	res, err := Run(t.Context(), Command{Path: path, Args: []string{pids}, Env: Env(), KeepChildren: true})
	if err != nil || res.Code != 0 {
		t.Errorf("got %d, %v", res.Code, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("waited %v for output that stays open", took)
	}
	pid := awaitPids(t, pids, 1)[0]
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the service that the program started: %v", err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	gone(t, pid)
}

func TestOutputIsCapped(t *testing.T) {
	res, err := Run(t.Context(), Command{Path: program(t, "head -c 1000000 /dev/zero | tr '\\0' x"), Env: Env()})
	if err != nil || len(res.Output) != OutputLimit {
		t.Errorf("kept %d bytes (%v), want %d", len(res.Output), err, OutputLimit)
	}
	if n := len(res.LastLine()); n != lineLimit+len("...") {
		t.Errorf("last line has %d bytes", n)
	}
}

func TestKilledBySomebodyElseIsAnError(t *testing.T) {
	_, err := Run(t.Context(), Command{Path: program(t, "kill -9 $$"), Env: Env()})
	if err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("got %v", err)
	}
}

func TestNothingStartsAfterTheEnd(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Command{Path: "/usr/bin/touch", Args: []string{mark}, Env: Env()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran")
	}
}

func TestWhatCannotStartIsAnError(t *testing.T) {
	for name, path := range map[string]string{"missing": "/nonexistent/x", "not a program": "/etc/hostname"} {
		if _, err := Run(t.Context(), Command{Path: path}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

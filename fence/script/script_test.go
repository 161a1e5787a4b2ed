package script

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
)

var shot = fence.Shot{Target: "db1", Boot: "db1/aaaa.bbbb", Node: "db2", Epoch: 42, Group: "mysql"}

func device(t *testing.T, body string, args ...string) *Device {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fence.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Path: path, Args: args, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExitStatusOfStatus(t *testing.T) {
	for _, row := range []struct {
		name, body string
		want       fence.PowerState
		failed     string
	}{
		{"0 is on", "exit 0", fence.PowerOn, ""},
		{"2 is off", "exit 2", fence.PowerOff, ""},
		{"1 is unknown", "echo no route to the strip >&2; exit 1", fence.PowerUnknown, "exit status 1: no route to the strip"},
		{"any other is unknown", "exit 3", fence.PowerUnknown, "exit status 3"},
		{"death by a signal is unknown", "kill -9 $$", fence.PowerUnknown, "signal: killed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := device(t, row.body).Status(t.Context(), shot)
			if got != row.want || (err == nil) != (row.failed == "") || err != nil && !strings.Contains(err.Error(), row.failed) {
				t.Errorf("got %v, %v; want %v, %q", got, err, row.want, row.failed)
			}
		})
	}
}

func TestProgramIsToldTheShot(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	d := device(t, `{ echo "$*"; env | grep ^SOLEVIP_ | sort; } >"$1"`, out, "--outlet=5")
	if err := d.Off(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(out)
	want := out + " --outlet=5 off\nSOLEVIP_EPOCH=42\nSOLEVIP_GROUP=mysql\nSOLEVIP_NODE=db2\nSOLEVIP_TARGET=db1\n"
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestOffThatFailsSaysWhy(t *testing.T) {
	err := device(t, "echo outlet is locked; exit 2").Off(t.Context(), shot)
	if err == nil || err.Error() != "exit status 2: outlet is locked" {
		t.Errorf("got %v: 2 means off for status only", err)
	}
}

func TestHangingProgramIsUnknown(t *testing.T) {
	d := device(t, "exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	power, err := d.Status(ctx, shot)
	if power != fence.PowerUnknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v", power, err)
	}
}

func TestProgramOfEverybodysIsNotRun(t *testing.T) {
	d := device(t, "exit 2")
	if err := os.Chmod(d.o.Path, 0o777); err != nil {
		t.Fatal(err)
	}
	power, err := d.Status(t.Context(), shot)
	if power != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), "everybody may write") {
		t.Errorf("got %v, %v", power, err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no path":          {},
		"relative path":    {Path: "fence.sh"},
		"negative timeout": {Path: "/x", Timeout: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The whole chain on a real program: a machine that is a file.
func TestChainOverAScript(t *testing.T) {
	machine := filepath.Join(t.TempDir(), "machine-is-on")
	if err := os.WriteFile(machine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := device(t, `case $2 in off) rm -f "$1" ;; status) [ -e "$1" ] || exit 2 ;; esac`, machine)
	plan, err := fence.NewPlan([]fence.Level{{d}}, fence.Budgets{Confirm: 10 * time.Millisecond, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	res := fence.Run(t.Context(), plan, shot, func() error { return nil }, slog.New(slog.DiscardHandler))
	if res.Outcome != fence.Off || res.Err != nil || res.Method != d.Name() {
		t.Errorf("got %+v", res)
	}
	if _, err := os.Stat(machine); err == nil {
		t.Error("the machine is still on")
	}
}

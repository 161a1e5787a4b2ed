package hook

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

var facts = Facts{
	Group: "mysql", Node: "db2", Epoch: 42, Previous: "db1", Evidence: "power-off-verified",
	Addresses: []string{"10.0.0.100/24", "2001:db8::100/64"}, DeadlineMS: 1500,
}

func TestHookIsToldTheFacts(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	h := Hook{Path: script(t, `out=$2; { echo "$1 $#"; env | grep ^SOLEVIP_ | sort; } >"$out"`), Args: []string{out}}
	if err := Run(t.Context(), h, "promote", facts); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	want := `promote 2
SOLEVIP_ADDRESSES=10.0.0.100/24 2001:db8::100/64
SOLEVIP_DEADLINE_MS=1500
SOLEVIP_EPOCH=42
SOLEVIP_EVIDENCE=power-off-verified
SOLEVIP_GROUP=mysql
SOLEVIP_NODE=db2
SOLEVIP_PREVIOUS=db1
`
	if err != nil || string(got) != want {
		t.Errorf("got %s (%v)\nwant %s", got, err, want)
	}
}

func TestHookThatSaysNo(t *testing.T) {
	err := Run(t.Context(), Hook{Path: script(t, "echo lagging 300 s >&2; exit 7")}, "promote", facts)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || exit.LastLine != "lagging 300 s" {
		t.Errorf("got %v", err)
	}
	if !strings.HasPrefix(err.Error(), "hook promote of mysql: ") {
		t.Errorf("error %q doesn't name the stage and the group", err)
	}
}

func TestHookThatHangsIsNotAnAnswer(t *testing.T) {
	err := Run(t.Context(), Hook{Path: script(t, "exec sleep 1000"), Timeout: 50 * time.Millisecond}, "demote", facts)
	var exit *ExitError
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exit) {
		t.Errorf("got %v", err)
	}
}

func TestHookThatEverybodyMayChangeIsRefused(t *testing.T) {
	path := script(t, "")
	if err := (Hook{Path: path}).Check(); err != nil {
		t.Errorf("plain hook: %v", err)
	}
	if err := os.Chmod(path, 0o757); err != nil {
		t.Fatal(err)
	}
	if err := (Hook{Path: path}).Check(); err == nil {
		t.Error("accepted")
	}
}

package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/claim"
)

type aboutGroups []string

func (aboutGroups) Error() string            { return "failed" }
func (a aboutGroups) FailedGroups() []string { return a }

func TestErrorOfABatchIsToldToWhomItConcerns(t *testing.T) {
	general := errors.New("netlink is gone")
	for _, tt := range []struct {
		name   string
		err    error
		failed bool
	}{
		{"none", nil, false},
		{"one that names nobody concerns all", general, true},
		{"one that could name somebody and names nobody concerns all", aboutGroups{}, true},
		{"one that names the group", aboutGroups{"mail", "db"}, true},
		{"one that names another", aboutGroups{"mail"}, false},
	} {
		if err := errorOf(tt.err, "db"); (err != nil) != tt.failed {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestDecisionsAreToldWithoutReadingsOfTheClock(t *testing.T) {
	text := describe(40*time.Hour, claim.Bind{})
	if strings.Contains(text, "until") || !strings.Contains(text, "for ") {
		t.Errorf("%q", text)
	}
}

func TestIdentityOutlivesTheProcessAndNotTheState(t *testing.T) {
	dir := t.TempDir()
	first, err := Identity("db1", dir, "boot-1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Identity("db1", dir, "boot-1")
	if err != nil || again != first {
		t.Errorf("a restart is %v, %v, want %v", again, err, first)
	}
	other, err := Identity("db1", t.TempDir(), "boot-1")
	if err != nil || other == first || other.Kernel != "boot-1" {
		t.Errorf("with another state directory it is %v, %v", other, err)
	}
	if real, err := Identity("db1", dir, ""); err != nil || real.Kernel == "" {
		t.Errorf("the kernel's own: %v, %v", real, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "incarnation.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Identity("db1", dir, ""); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestLockIsForOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "another solevip uses") {
		t.Errorf("a second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestClockGoesForward(t *testing.T) {
	if a, b := Clock(), Clock(); a <= 0 || b < a {
		t.Errorf("%v, then %v", a, b)
	}
}

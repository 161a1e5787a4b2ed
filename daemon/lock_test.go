//go:build linux

package daemon

import (
	"strings"
	"testing"
	"time"
)

// A daemon that is started again while its killed former self is still being torn down waits for it.
func TestLockWaitsForAFormerProcessToBeGone(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	released := time.AfterFunc(lockPatience/10, func() { unlock() })
	defer released.Stop()
	again, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}

func TestLockKeepsASecondDaemonOut(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "another solevip uses this directory") {
		t.Errorf("a second lock: %v", err)
	}
}

package raftnode

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRaftsLinesReachTheLogOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := raftLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
		for range 100 {
			l.Error("failed to heartbeat to", "peer", "b/1", "error", "connection refused")
			l.Error("failed to heartbeat to", "peer", "c/1", "error", "connection refused")
			l.Info("entering follower state")
			time.Sleep(100 * time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 {
			t.Errorf("10 s of two dead peers make %d lines:\n%s", len(lines), out.String())
		}
		if want := `level=WARN msg="failed to heartbeat to" from=raft peer=b/1 error="connection refused"`; !strings.Contains(lines[0], want) {
			t.Errorf("got %s\nwant %s", lines[0], want)
		}
	})
}

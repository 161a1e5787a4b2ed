package daemon

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// groupFile is a group's file in the run directory: for scripts that want the epoch, and for the
// next process of this boot, which may keep what is up.
type groupFile struct {
	Group    string       `json:"group"`
	Epoch    uint64       `json:"epoch"`
	Holder   string       `json:"holder"`   // node; "" when nobody holds it
	Up       bool         `json:"up"`       // the addresses are up on this node
	Keep     bool         `json:"keep"`     // and a later process of this boot may keep them up (claim.View.Keeps)
	Deadline string       `json:"deadline"` // of this node's lease, by the wall clock; "" when it has none
	Clock    int64        `json:"clock_ns"` // the same by the node's own clock, in ns
	Boot     arbiter.Boot `json:"boot"`     // of this node
}

func groupPath(runDir, group string) string {
	return filepath.Join(runDir, "groups", group+".json")
}

// fileWriter writes the groups' files beside the loop, which must not wait for a disk. Of what
// waits, a group's newest state is written and the rest skipped. A file may lag behind, and a
// successor doesn't trust it alone: it keeps what the kernel, too, still has up.
type fileWriter struct {
	dir  string
	log  *slog.Logger
	wake chan struct{}

	mu      sync.Mutex
	waiting map[string]groupFile
	failed  map[string]string // group: the error that was logged last
}

func newFileWriter(dir string, log *slog.Logger) *fileWriter {
	return &fileWriter{
		dir: dir, log: log, wake: make(chan struct{}, 1),
		waiting: map[string]groupFile{}, failed: map[string]string{},
	}
}

func (w *fileWriter) put(f groupFile) {
	w.mu.Lock()
	w.waiting[f.Group] = f
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then what was put by then.
func (w *fileWriter) run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
			w.flush()
		case <-ctx.Done():
			w.flush()
			return
		}
	}
}

func (w *fileWriter) flush() {
	w.mu.Lock()
	waiting := w.waiting
	w.waiting = map[string]groupFile{}
	w.mu.Unlock()
	for group, f := range waiting {
		text := ""
		if err := writeFile(groupPath(w.dir, group), f); err != nil {
			text = err.Error()
		}
		if text != "" && text != w.failed[group] { // once, not at every beat
			w.log.Error("group file not written", "group", group, "error", text)
		}
		w.failed[group] = text
	}
}

func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next := path + ".new"
	if err := os.WriteFile(next, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path) // readers see the old one or the new one
}

// wallClock is the wall clock's reading when so much time will have passed.
func wallClock(left time.Duration) string { return time.Now().Add(left).Format(time.RFC3339Nano) }

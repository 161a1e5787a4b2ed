package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// logWriter passes lines on from a goroutine of its own, and drops what there is no room for: a pipe that
// nobody reads must not stop the daemon, whose loop logs, from renewing its lease.
type logWriter struct {
	to    io.Writer
	lines chan []byte
	done  chan struct{}

	mu      sync.Mutex
	closed  bool
	dropped int
}

const (
	logLines = 4096            // kept while the reader is slow
	logGrace = 2 * time.Second // for the last lines, at the end
)

func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, lines: make(chan []byte, logLines), done: make(chan struct{})}
	go w.pass()
	return w
}

// Write takes a line and never waits.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.to.Write(line)
	}
	if w.dropped > 0 {
		select {
		case w.lines <- fmt.Appendf(nil, "solevip: %d log lines were dropped here: their reader was too slow\n", w.dropped):
			w.dropped = 0
		default:
			w.dropped++
			return len(line), nil
		}
	}
	select {
	case w.lines <- append([]byte(nil), line...): // slog uses its buffer again
	default:
		w.dropped++
	}
	return len(line), nil
}

func (w *logWriter) pass() {
	defer close(w.done)
	for line := range w.lines {
		_, _ = w.to.Write(line) // there is nowhere else to complain
	}
}

// Close waits for what was written, though not for ever. Later lines go straight through.
func (w *logWriter) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	close(w.lines)
	w.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-time.After(logGrace):
		return fmt.Errorf("last log lines were not read within %v", logGrace)
	}
}

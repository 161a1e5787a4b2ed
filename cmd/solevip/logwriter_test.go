package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// stuck is a pipe whose reader can be stopped.
type stuck struct {
	sync.Mutex
	bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.Buffer.Write(b)
}

func TestLogNeverWaitsForItsReader(t *testing.T) {
	pipe := &stuck{}
	w := newLogWriter(pipe)
	pipe.Lock() // the reader has stopped
	for i := range 2 * logLines {
		fmt.Fprintf(w, "line %d\n", i) // would hang here
	}
	pipe.Unlock()
	for room := false; !room; room = len(w.lines) < logLines/2 {
	}
	fmt.Fprintln(w, "the reader is back")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "after the end")
	lines := strings.Split(strings.TrimSpace(pipe.String()), "\n")
	if lines[0] != "line 0" || lines[len(lines)-1] != "after the end" || lines[len(lines)-2] != "the reader is back" {
		t.Errorf("%q ... %q", lines[0], lines[len(lines)-3:])
	}
	if told := lines[len(lines)-3]; !strings.Contains(told, "log lines were dropped here") {
		t.Errorf("nothing is said of what was dropped: %q", told)
	}
}

func TestLogDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := newLogWriter(blocked(read))
		fmt.Fprintln(w, "a line")
		if err := w.Close(); err == nil {
			t.Error("it says that everything was read")
		}
		close(read)
	})
}

// blocked is a pipe that nobody reads until it is closed.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/solevip/solevip/api"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"solevip": main, "answering": answering})
}

// TestCommand runs the command as operators do: each script says what they type and what they see.
func TestCommand(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:       "testdata",
		Condition: condition,
		Setup: func(e *testscript.Env) error { // the control socket's path must be a short one
			dir, err := os.MkdirTemp("", "sv")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(dir) })
			e.Setenv("RUN", dir)
			e.Values[daemonsKey{}] = newDaemons()
			e.Setenv("USER", "ann")
			e.Setenv("SUDO_USER", "")
			e.Setenv("SOLEVIP_NODE", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"code": wantCode, "waitsocket": waitSocket,
			"isolated": isolated, "begin": begin, "halt": halt, "in": inside, "small": small, "roomy": roomy, "fill": fill, "ends": ends, "eventually": eventually},
	})
}

// wantCode runs the command and wants one of its exit codes: code N ARGS...
func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: code N ARGS...")
	}
	wantCodeOf(ts, args[0], "solevip", args[1:]...)
}

func wantCodeOf(ts *testscript.TestScript, want, program string, args ...string) {
	err := ts.Exec(program, args...)
	got := "0"
	if failed, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		got = string(rune('0' + failed.ExitCode()))
	}
	if got != want {
		ts.Fatalf("exit code %s (%v), want %s", got, err, want)
	}
}

// answering is a node that answers as a script tells it, at the control socket of $RUN: with the status in
// its first argument's file, and with refusals to everything else.
func answering() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir := os.Getenv("RUN")
	file, err := os.ReadFile(os.Args[1])
	must(err)
	l, err := net.Listen("unix", filepath.Join(dir, "new.sock"))
	must(err)
	must(os.Rename(filepath.Join(dir, "new.sock"), api.Socket(dir)))
	mux := http.NewServeMux()
	status := func(w http.ResponseWriter, _ *http.Request) { w.Write(file) }
	mux.HandleFunc("GET /v1/status", status)
	mux.HandleFunc("GET /v1/watch", status) // and then it ends
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusConflict)
		w.Write([]byte(`{"error": "refused: ` + r.URL.Path + `", "hint": "try something else"}`))
	})
	s := &http.Server{Handler: mux}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		must(err)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// waitSocket waits until the control socket of $RUN is there.
func waitSocket(ts *testscript.TestScript, _ bool, _ []string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if _, err := os.Stat(api.Socket(ts.Getenv("RUN"))); err == nil {
			return
		}
	}
	ts.Fatalf("nothing answers at %s", api.Socket(ts.Getenv("RUN")))
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/daemon"
)

const (
	defaultConfig   = "/etc/solevip/solevip.yaml"
	defaultStateDir = "/var/lib/solevip"
	defaultRunDir   = "/run/solevip"
)

const runUsage = `run is the daemon of a node. It needs root (CAP_NET_ADMIN and CAP_NET_RAW) on a member.

  solevip run -c /etc/solevip/solevip.yaml
  solevip run -c /etc/solevip/solevip.yaml --node db1

The node's name is --node, else $SOLEVIP_NODE, else the host name. SIGTERM hands every group over:
demote hook, addresses down, release, priority 0. Started again on the same boot within its lease
(after a crash), it keeps what it had up.`

// runFlags are the flags of run.
type runFlags struct{ config, node, stateDir, runDir string }

func newRun() *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "run the daemon of this node", Long: runUsage, Args: exactly()}
	var f runFlags
	c.Flags().StringVarP(&f.config, "config", "c", defaultConfig, "configuration file")
	c.Flags().StringVar(&f.node, "node", "", "this node's name in the file")
	c.Flags().StringVar(&f.stateDir, "state-dir", defaultStateDir, "what must survive a restart: the ledger's log, the boot record")
	c.Flags().StringVar(&f.runDir, "run-dir", defaultRunDir, "control socket, and a file per group with its epoch")
	c.RunE = func(c *cobra.Command, _ []string) error { return run(c.Context(), f, c.ErrOrStderr()) }
	return c
}

// nodeName is the node that this machine is.
func nodeName(flag string) (string, error) {
	if name := cmp.Or(flag, os.Getenv("SOLEVIP_NODE")); name != "" {
		return name, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", hint{fmt.Errorf("host name: %w", err), "give the node's name with --node"}
	}
	short, _, _ := strings.Cut(host, ".")
	return short, nil
}

// ignoreHangUp makes SIGHUP harmless: by default it would end the process without handing over.
func ignoreHangUp(undo *stack, log *slog.Logger) {
	hup, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer close(ended)
		for {
			select {
			case <-hup:
				log.Warn("SIGHUP changes nothing: to read the file again, restart the daemon; check it first: solevip check -c FILE")
			case <-done:
				return
			}
		}
	}()
	undo.onStop("hang-up signals", func() error {
		signal.Stop(hup)
		close(done)
		<-ended
		return nil
	})
}

// stack undoes named steps in the reverse order of their making.
type stack struct {
	log   *slog.Logger
	steps []func()
}

func (s *stack) onStop(name string, undo func() error) {
	s.steps = append(s.steps, func() {
		if err := undo(); err != nil {
			s.log.Error("stop failed", "step", name, "error", err)
		}
	})
}

func (s *stack) stop() {
	for i := len(s.steps) - 1; i >= 0; i-- {
		s.steps[i]()
	}
}

// run builds the parts in order, works until ctx ends, and stops them backwards.
func run(ctx context.Context, f runFlags, stderr io.Writer) error {
	node, err := nodeName(f.node)
	if err != nil {
		return err
	}
	agents := newAgents()
	conf, err := config.Load(f.config, config.Options{Node: node, Files: config.NeedFiles, CheckAgent: agents.check(ctx)})
	if err != nil {
		return err
	}
	out := newLogWriter(stderr)
	defer out.Close() // last; there is nowhere left to complain
	log := newLog(out, conf.Log).With("node", node)
	slog.SetDefault(log)
	for _, w := range conf.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
	undo := &stack{log: log}
	defer undo.stop()
	ignoreHangUp(undo, log)

	for _, dir := range []string{f.stateDir, f.runDir} {
		unlock, err := daemon.Lock(dir)
		if err != nil {
			return hint{err, "one daemon for one --state-dir and one --run-dir"}
		}
		undo.onStop("lock of "+dir, unlock)
	}
	boot, err := daemon.Identity(node, f.stateDir, os.Getenv("SOLEVIP_BOOT_ID"))
	if err != nil {
		return err
	}
	log.Info("starting", "version", version(), "boot", boot.String(), "ttl", conf.Timing.TTL, "margin", conf.Timing.Margin)

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := &wiring{conf: conf, node: node, boot: boot, flags: f, log: log, undo: undo, fail: fail, agents: agents}
	o, err := w.options(ctx)
	if err != nil {
		return err
	}
	o.Ready = func() { tellSystemd(log, sd.SdNotifyReady) }
	d, err := daemon.New(o)
	if err != nil {
		return err
	}
	if err := serve(undo, f.runDir, d); err != nil {
		return err
	}
	if err := d.Run(ctx); err != nil {
		return err
	}
	if failed, ok := errors.AsType[broken](context.Cause(ctx)); ok {
		return failed
	}
	return nil
}

// tellSystemd does nothing when systemd did not start the daemon.
func tellSystemd(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
}

// broken is a part that failed for good: the daemon ends, and its service manager starts it anew.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

func newLog(w io.Writer, l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // config allows only the four names
	}
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// serve answers at the control socket until the undo stack closes it. The run directory is locked,
// so a socket that is there belongs to nobody.
func serve(undo *stack, runDir string, d *daemon.Daemon) error {
	path := api.Socket(runDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	s := &http.Server{Handler: api.Handler(d), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	undo.onStop("control socket", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := s.Shutdown(ctx) // the daemon has ended, so requests find that out and end too
		if err != nil {
			err = s.Close()
		}
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

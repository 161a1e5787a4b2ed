//go:build linux

package netns_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// The commands, as `solevip-lab --help` has them.
func TestLabByItsCommands(t *testing.T) {
	if err := lab.Available(lab.Solevip); err != nil {
		t.Skip(err)
	}
	name, dir := fmt.Sprintf("c%d", os.Getpid()), t.TempDir()+"/lab"
	command := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, solevipLab, append(args, "--name", name, "--dir", dir)...).CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() {
		command("down")
		nothingLeft(t, name)
	})
	steps := []struct {
		args []string
		says string
		errs bool
	}{
		{args: []string{"status"}, says: "solevip-lab up", errs: true},
		{args: []string{"up", "--bin", solevip, "--ttl", "1.5s"}, says: "answers for 10.77.0.50"},
		{args: []string{"up", "--bin", solevip}, says: "exists already", errs: true},
		{args: []string{"status"}, says: "is answered for by db"},
		{args: []string{"cut", "arb"}},
		{args: []string{"status"}, says: "cut: arb <->"},
		{args: []string{"heal"}},
		{args: []string{"power-off", "arb"}},
		{args: []string{"kill", "arb"}, says: "power it on first", errs: true},
		{args: []string{"status"}, says: "arb  power off"},
		{args: []string{"power-on", "arb"}},
		{args: []string{"bmc", "db1", "stuck"}},
		{args: []string{"bmc", "db1", "heal"}},
		{args: []string{"logs"}, says: "power off arb"},
		{args: []string{"down"}},
		{args: []string{"down"}, says: "there is none", errs: true},
	}
	for _, s := range steps {
		out, err := command(s.args...)
		if (err != nil) != s.errs || !strings.Contains(out, s.says) {
			t.Fatalf("solevip-lab %s: %v; want %q in:\n%s", strings.Join(s.args, " "), err, s.says, out)
		}
	}
}

// An interrupted demo takes everything with it.
func TestDemoInterrupted(t *testing.T) {
	if err := lab.Available(lab.Solevip); err != nil {
		t.Skip(err)
	}
	demo := exec.Command(solevipLab, "demo", "--bin", solevip, "--ttl", "1.5s")
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	said := readUntil(out, "2. Machine powered off") // in the middle of things
	if err := demo.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { demo.Process.Kill() })
	defer stuck.Stop()
	io.Copy(io.Discard, out)
	if err := demo.Wait(); err == nil || !strings.Contains(said, "1. It starts") {
		t.Errorf("exit: %v, after:\n%s", err, said)
	}
	nothingLeft(t, "demo")
}

func readUntil(r io.Reader, mark string) string {
	var said bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(said.String(), mark) {
		n, err := r.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return said.String()
}

// nothingLeft checks that a lab's namespaces, and with them its processes, and its files are gone.
func nothingLeft(t *testing.T, name string) {
	t.Helper()
	for _, pattern := range []string{"/run/netns/solevip-" + name + "-*", lab.DefaultRoot + "/" + name} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

package bmc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ipmitool asks a controller with the implementation that operators use.
func ipmitool(t *testing.T, netns, addr string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("ipmitool"); err != nil {
		t.Skip("needs ipmitool: ", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{"ipmitool", "-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", host, "-p", port, "-U", "fence", "-E", "chassis", "power"}, args...)
	if netns != "" {
		argv = append([]string{"ip", "netns", "exec", netns}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD=s3cret")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func start(t *testing.T, o Options) *BMC {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Name == "" {
		o.Name = "db1"
	}
	b, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// power reads the controller, and fails the test when it doesn't say want.
func power(t *testing.T, b *BMC, want string) {
	t.Helper()
	got, err := ipmitool(t, "", b.Addr(), "status")
	if err != nil || got != "Chassis Power is "+want {
		t.Fatalf("power is %q (%v), want %s", got, err, want)
	}
}

func command(t *testing.T, b *BMC, word string) error {
	t.Helper()
	_, err := ipmitool(t, "", b.Addr(), word)
	return err
}

func TestPowerOffKillsTheHost(t *testing.T) {
	b := start(t, Options{Boot: "trap '' TERM; sleep 1000 & exec sleep 1000"})
	power(t, b, "off")
	if err := command(t, b, "on"); err != nil {
		t.Fatal(err)
	}
	power(t, b, "on")
	if err := command(t, b, "off"); err != nil {
		t.Fatal(err)
	}
	power(t, b, "off")
	got, err := b.Commands()
	if want := []string{"set power 1", "set power 0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("commands %q (%v), want %q", got, err, want)
	}
}

func TestFaultsAreSeenFromOutside(t *testing.T) {
	b := start(t, Options{Boot: "exec sleep 1000"})
	if err := command(t, b, "on"); err != nil {
		t.Fatal(err)
	}
	check(t, b.Stuck(true))
	if err := command(t, b, "off"); err != nil {
		t.Errorf("a stuck controller says yes, got %v", err)
	}
	power(t, b, "on")
	check(t, b.Stuck(false))

	check(t, b.Refuse(true))
	if err := command(t, b, "off"); err == nil {
		t.Error("a refusing controller said yes")
	}
	check(t, b.Refuse(false))
	power(t, b, "on")

	check(t, b.Freeze())
	if err := command(t, b, "status"); err == nil {
		t.Error("a frozen controller answered")
	}
	check(t, b.Thaw())

	check(t, b.Slow(300*time.Millisecond))
	if err := command(t, b, "off"); err != nil {
		t.Error(err)
	}
	power(t, b, "on")
	for deadline := time.Now().Add(10 * time.Second); ; {
		if got, _ := ipmitool(t, "", b.Addr(), "status"); strings.HasSuffix(got, "off") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a slow controller never obeyed")
		}
	}
}

func TestProgramIsTheSwitch(t *testing.T) {
	dir := t.TempDir()
	program := dir + "/switch"
	script := "#!/bin/sh\necho \"$*\" >>" + dir + "/calls\n[ \"$3\" = get ] && echo power:1\nexit 0\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b := start(t, Options{Dir: dir, PowerProgram: []string{program, "it's one word"}})
	power(t, b, "on")
	if err := command(t, b, "off"); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(dir + "/calls")
	if err != nil || !bytes.Contains(calls, []byte("it's one word db1 set power 0\n")) {
		t.Errorf("program's calls %q (%v)", calls, err)
	}
}

func TestDetachedIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	if err := Available(); err != nil {
		t.Skip(err)
	}
	first, err := Start(ctx, Options{Dir: dir, Name: "db1", Detach: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	again, err := Attach(dir, "db1")
	if err != nil {
		t.Fatal(err)
	}
	power(t, again, "off")
	check(t, again.Close())
	<-first.exited
	if _, err := Attach(dir, "db1"); err == nil {
		t.Error("a controller that was closed was found")
	}
}

func TestCancelEndsTheController(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b, err := Start(ctx, Options{Dir: t.TempDir(), Name: "db1"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-b.exited
	if err := syscall.Kill(b.Pid(), 0); err == nil {
		t.Error("the simulator outlived its context")
	}
	check(t, b.Close())
}

func TestControllerInANamespace(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	netns := fmt.Sprintf("svbmc%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", netns).CombinedOutput(); err != nil {
		t.Skipf("needs the privilege to make a network namespace: %s", out)
	}
	defer exec.Command("ip", "netns", "del", netns).Run()
	if out, err := exec.Command("ip", "-n", netns, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("loopback: %s", out)
	}
	b := start(t, Options{NetNS: netns, Addr: "127.0.0.1:623"})
	if got, err := ipmitool(t, netns, b.Addr(), "status"); err != nil || got != "Chassis Power is off" {
		t.Errorf("power is %q (%v)", got, err)
	}
}

func TestTwoOnOnePortIsAnError(t *testing.T) {
	b := start(t, Options{})
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Name: "db2", Addr: b.Addr()})
	if err == nil || !strings.Contains(err.Error(), "another process has UDP port") {
		t.Errorf("second controller on %s: %v", b.Addr(), err)
	}
}

func TestOptionsThatTheSimulatorWouldMisread(t *testing.T) {
	for name, o := range map[string]Options{
		"directory with a space":     {Dir: "/tmp/a b", Name: "db1"},
		"name with a slash":          {Dir: "/tmp", Name: "../db1"},
		"no name":                    {Dir: "/tmp"},
		"quote in the password":      {Dir: "/tmp", Name: "db1", Password: `a"b`},
		"address without a port":     {Dir: "/tmp", Name: "db1", Addr: "127.0.0.1"},
		"port to pick in a netns":    {Dir: "/tmp", Name: "db1", Addr: "127.0.0.1:0", NetNS: "x"},
		"address that isn't numeric": {Dir: "/tmp", Name: "db1", Addr: "localhost:623"},
	} {
		if _, _, err := o.resolved(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Package bmc runs simulated baseboard management controllers for tests and for the lab: an
// ipmi_sim of Debian's openipmi each, an IPMI implementation that is independent of the client
// under test, whose power switch is a program and so really kills what it powers off.
//
// It owns starting, stopping and breaking a controller: one that acknowledges and does nothing
// ([BMC.Stuck]), that refuses ([BMC.Refuse]), that takes its time ([BMC.Slow]), and that is
// dead ([BMC.Freeze]). It does not know what a host is made of: that is for the program, which is
// called as
//
//	PROGRAM... NAME get power     and prints power:1 or power:0
//	PROGRAM... NAME set power 0|1
//
// with an error when it exits with anything but 0. Faults are files in the controller's
// directory, so that another process may inflict them ([Attach]).
package bmc

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the wait for the controller's socket.
const startTimeout = 10 * time.Second

// Options say what to simulate.
type Options struct {
	Dir  string // the controller keeps its files in Dir/Name, which [BMC.Close] removes
	Name string // the host's name; argument 1 of the power program
	// Addr is where it listens, as host:port. "127.0.0.1:0", or nothing, picks a free port; that
	// is for controllers outside a network namespace only.
	Addr  string
	NetNS string // run in this namespace of `ip netns`; empty: the caller's
	// User and Password are the administrator's; "fence" and "s3cret" unless given.
	User, Password string
	// PowerProgram is the power switch: a program and its first arguments. Without one the
	// host is a session that runs the shell command Boot; power off kills it with SIGKILL. A
	// program runs in the controller's network namespace, but in the caller's mount namespace.
	PowerProgram []string
	Boot         string // the built-in host's operating system, say "exec sleep infinity"; it starts off
	// Detach lets the controller outlive ctx and the calling process, for [Attach] to find.
	Detach bool
}

// BMC is one running controller.
type BMC struct {
	addr   string
	home   string // Dir/Name
	pid    int
	exited chan struct{} // closed when our child is gone; nil when attached
}

//go:embed chassis.sh
var chassisScript []byte

//go:embed host.sh
var hostScript []byte

// Available says why controllers can't be simulated here, or nil: tests skip with it.
func Available() error {
	for _, tool := range []string{"ipmi_sim", "setsid", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("simulated BMC needs %s (Debian packages openipmi and util-linux): %w", tool, err)
		}
	}
	return nil
}

// Start starts a controller and returns when its socket is bound. It runs until ctx is done or
// [BMC.Close].
func Start(ctx context.Context, o Options) (*BMC, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	o, addr, err := o.resolved()
	if err != nil {
		return nil, fmt.Errorf("simulated BMC %q: %w", o.Name, err)
	}
	b := &BMC{addr: addr.String(), home: filepath.Join(o.Dir, o.Name)}
	if err := b.write(o, addr); err != nil {
		return nil, fmt.Errorf("simulated BMC %q files: %w", o.Name, err)
	}
	if err := b.start(ctx, o, addr); err != nil {
		b.remove()
		return nil, fmt.Errorf("simulated BMC %q start: %w", o.Name, err)
	}
	return b, nil
}

// plain is what may stand unquoted in the simulator's file and on the shell's command line.
var plain = regexp.MustCompile(`^[A-Za-z0-9._/@:-]+$`)

// resolved fills in the defaults and checks what the simulator would misread.
func (o Options) resolved() (Options, netip.AddrPort, error) {
	var none netip.AddrPort
	if o.User == "" {
		o.User = "fence"
	}
	if o.Password == "" {
		o.Password = "s3cret"
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, none, err
	}
	o.Dir = dir
	switch {
	case !plain.MatchString(o.Dir):
		return o, none, fmt.Errorf("directory %q: only letters, digits and ._/@:- work", o.Dir)
	case !plain.MatchString(o.Name) || strings.ContainsAny(o.Name, "/:") || strings.Trim(o.Name, ".") == "":
		return o, none, fmt.Errorf("name %q: only letters, digits and ._@- work", o.Name)
	case strings.ContainsAny(o.User+o.Password, "\"\\\n"):
		return o, none, errors.New("user and password can't contain quotes, backslashes or newlines")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return o, none, fmt.Errorf("address %q: want host:port: %w", o.Addr, err)
	}
	if addr.Port() == 0 {
		if o.NetNS != "" {
			return o, none, fmt.Errorf("address %q: a port can't be picked in namespace %s; give one", o.Addr, o.NetNS)
		}
		addr, err = freePort(addr.Addr())
	}
	return o, addr, err
}

// freePort picks a port that nobody has. ipmi_sim sets SO_REUSEADDR, so a taken one would
// not even be an error; awaitSocket looks again afterwards.
func freePort(host netip.Addr) (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// write lays out the controller's directory: its two configuration files, the power switch,
// and an empty state directory (ipmi_sim keeps users there, and prefers them to its file).
func (b *BMC) write(o Options, addr netip.AddrPort) error {
	if err := os.RemoveAll(b.home); err != nil {
		return err
	}
	if err := os.MkdirAll(b.path("state"), 0o755); err != nil {
		return err
	}
	program := o.PowerProgram
	if len(program) == 0 {
		program = []string{b.path("host")}
	}
	files := []struct {
		name string
		text []byte
		mode os.FileMode
	}{
		{"lan.conf", lanConf(o, addr, b.path("chassis")), 0o600},
		{"sim.emu", []byte(simEmu), 0o600},
		{"chassis", chassisScript, 0o755},
		{"host", hostScript, 0o755},
		{"boot", []byte("#!/bin/sh\n" + o.Boot + "\n"), 0o755},
		{"addr", []byte(addr.String()), 0o600},
		{"program", []byte(shellQuote(program)), 0o600},
	}
	for _, f := range files {
		if err := os.WriteFile(b.path(f.name), f.text, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// simEmu is a controller with nothing but a chassis.
const simEmu = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
`

// lanConf is the simulator's file. Without a guid it refuses RMCP+ sessions.
func lanConf(o Options, addr netip.AddrPort, chassis string) []byte {
	var c bytes.Buffer
	fmt.Fprintf(&c, "name %q\nset_working_mc 0x20\n", o.Name)
	fmt.Fprintf(&c, "  startlan 1\n    addr %s %d\n    priv_limit admin\n", addr.Addr(), addr.Port())
	for _, level := range []string{"callback", "user", "operator", "admin"} {
		fmt.Fprintf(&c, "    allowed_auths_%s none md2 md5 straight\n", level)
	}
	fmt.Fprintf(&c, "    guid a123456789abcdefa123456789abcdef\n  endlan\n")
	fmt.Fprintf(&c, "  chassis_control \"%s %s\"\n", chassis, o.Name)
	fmt.Fprintf(&c, "  user 1 false \"\" \"\" user 10 none md2 md5 straight\n")
	fmt.Fprintf(&c, "  user 2 true %q %q admin 10 none md2 md5 straight\n", o.User, o.Password)
	return c.Bytes()
}

// start runs the simulator, and waits for its socket.
func (b *BMC) start(ctx context.Context, o Options, addr netip.AddrPort) error {
	argv := []string{"ipmi_sim", "-n", "-c", b.path("lan.conf"), "-f", b.path("sim.emu"), "-s", b.path("state")}
	if o.NetNS != "" {
		// Not `ip netns exec`: that hides /sys/fs/cgroup from the power program.
		argv = append([]string{"nsenter", "--net=/run/netns/" + o.NetNS, "--"}, argv...)
	}
	output, err := os.Create(b.path("output"))
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.pid, b.exited = cmd.Process.Pid, make(chan struct{})
	go func() {
		cmd.Wait()
		close(b.exited)
	}()
	err = os.WriteFile(b.path("pid"), []byte(identity(b.pid)), 0o600)
	if err == nil {
		err = b.awaitSocket(ctx, addr)
	}
	if err != nil {
		b.kill()
		return err
	}
	if !o.Detach {
		go func() {
			select {
			case <-ctx.Done():
				b.kill()
			case <-b.exited:
			}
		}()
	}
	return nil
}

// awaitSocket waits until the simulator has its port, and it alone.
func (b *BMC) awaitSocket(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("ipmi_sim never bound its port"))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		bound, err := socketsOn(b.pid, addr.Port())
		switch {
		case err != nil || bound.own == 0: // not yet; perhaps not even in its namespace
		case bound.others > 0:
			return fmt.Errorf("another process has UDP port %d", addr.Port())
		default:
			return nil
		}
		select {
		case <-tick.C:
		case <-b.exited:
			said, _ := os.ReadFile(b.path("output"))
			return fmt.Errorf("ipmi_sim ended: %s", bytes.TrimSpace(said))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Attach finds a controller that was started with Detach in Dir/Name.
func Attach(dir, name string) (*BMC, error) {
	b := &BMC{home: filepath.Join(dir, name)}
	addr, err := os.ReadFile(b.path("addr"))
	if err != nil {
		return nil, fmt.Errorf("simulated BMC %q: %w", name, err)
	}
	id, err := os.ReadFile(b.path("pid"))
	if err != nil {
		return nil, fmt.Errorf("simulated BMC %q: %w", name, err)
	}
	b.addr = string(addr)
	b.pid, _ = strconv.Atoi(strings.Fields(string(id))[0])
	if identity(b.pid) != string(id) {
		return nil, fmt.Errorf("simulated BMC %q: process %d is gone", name, b.pid)
	}
	return b, nil
}

// Addr is where the controller listens, as host:port.
func (b *BMC) Addr() string { return b.addr }

// Home is the controller's directory; pid.host in it holds the built-in host's session id.
func (b *BMC) Home() string { return b.home }

// Pid is the simulator's process.
func (b *BMC) Pid() int { return b.pid }

func (b *BMC) path(name string) string { return filepath.Join(b.home, name) }

// PowerOn switches the built-in host on, as somebody in front of it would.
func (b *BMC) PowerOn() error { return b.host("1") }

func (b *BMC) host(power string) error {
	if err := exec.Command(b.path("host"), filepath.Base(b.home), "set", "power", power).Run(); err != nil {
		return fmt.Errorf("simulated BMC host power: %w", err)
	}
	return nil
}

// Close stops the controller and the built-in host, and removes their files.
func (b *BMC) Close() error {
	b.kill()
	if err := b.host("0"); err != nil {
		return err
	}
	return b.remove()
}

func (b *BMC) remove() error { return os.RemoveAll(b.home) }

// kill ends the simulator and what it started: its power program, and delayed commands.
func (b *BMC) kill() {
	if id, err := os.ReadFile(b.path("pid")); err == nil && identity(b.pid) != string(id) {
		return // gone already; the number may be somebody else's
	}
	syscall.Kill(-b.pid, syscall.SIGKILL)
	if b.exited != nil {
		<-b.exited
	}
}

// identity is a pid with its start time, so that a reused pid isn't taken for ours.
func identity(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return fmt.Sprintf("%d gone", pid)
	}
	// The command name, field 2, may contain spaces; the start time is field 22 (proc(5)).
	after := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return fmt.Sprintf("%d %s", pid, after[19])
}

// shellQuote makes words into text that sh takes for the same words.
func shellQuote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

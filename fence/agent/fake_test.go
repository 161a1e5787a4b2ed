package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
)

var shot = fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}

const secret = "s3cret \"of\" the=bmc"

// frame is the metadata of the agents that tests write; what a test is about goes into it.
const frame = `<?xml version="1.0" ?>
<resource-agent name="fence_test" shortdesc="test">
<parameters>
 <parameter name="action" required="1"><content type="string" default="reboot"/></parameter>
 <parameter name="ip" required="1" obsoletes="ipaddr"><content type="string"/></parameter>
 <parameter name="ipaddr" required="1" deprecated="1"><content type="string"/></parameter>
 <parameter name="plug" required="0"><content type="string"/></parameter>
 <parameter name="password" required="0"><content type="string"/></parameter>
 <parameter name="nodename" required="0"><content type="string"/></parameter>
 <parameter name="old" required="0" deprecated="1"><content type="string"/></parameter>
 <parameter name="lanplus" required="0"><content type="boolean" default="0"/></parameter>
 <parameter name="delay" required="0"><content type="second" default="0"/></parameter>
 <parameter name="power_wait" required="0"><content type="second" default="0"/></parameter>
 <parameter name="ipport" required="0"><content type="integer" default="623"/></parameter>
 <parameter name="method" required="0"><content type="select" default="onoff"><option value="onoff"/><option value="cycle"/></content></parameter>
 <parameter name="missing_as_off" required="0"><content type="boolean"/></parameter>
 <parameter name="network_fencing" required="0"><content type="boolean"/></parameter>
 <parameter name="ssl_insecure" required="0"><content type="boolean"/></parameter>
 <parameter name="debug_file" required="0"><content type="string"/></parameter>
 <parameter name="version" required="0"><content type="boolean"/></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="reboot"/><action name="status"/><action name="metadata"/></actions>
</resource-agent>`

// program writes an agent, a shell script that finds what it was sent in $in.
func program(t *testing.T, metadata, script string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "fence_test")
	text := "#!/bin/sh\nin=$(cat)\ncase $in in *action=metadata) cat " + dir + "/metadata; exit 0;; esac\n" + script + "\n"
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
	}{path: {text, 0o755}, dir + "/metadata": {metadata, 0o644}} {
		if err := os.WriteFile(name, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func described(t *testing.T, name string) *Metadata {
	t.Helper()
	m, err := Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func scripted(t *testing.T, script string) *Device {
	t.Helper()
	d, err := New(described(t, program(t, frame, script)), Options{
		Values:  map[string]string{"ip": "10.1.0.5", "plug": "5"},
		Secrets: map[string]string{"password": secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExitStatuses(t *testing.T) {
	for _, row := range []struct {
		name, script string
		status       fence.PowerState
		off          bool // accepted
	}{
		{"0 is on, and accepted", "exit 0", fence.PowerOn, true},
		{"2 is off, and not accepted", "echo 'Status: OFF'; exit 2", fence.PowerOff, false},
		{"2 is off without a word", "exit 2", fence.PowerOff, false},
		{"2 with warnings is off", "echo warning >&2; echo 'Status: OFF'; exit 2", fence.PowerOff, false},
		{"2 of a broken script is unknown", "if; then", fence.PowerUnknown, false},
		{"2 of a python without a program is unknown", "echo \"python3: can't open file '/usr/sbin/fence_off': No such file\" >&2; exit 2", fence.PowerUnknown, false},
		{"1 is unknown", "echo 'Failed: Unable to connect'; exit 1", fence.PowerUnknown, false},
		{"3 is unknown", "exit 3", fence.PowerUnknown, false},
		{"off in words alone is unknown", "echo 'Status: OFF'; exit 1", fence.PowerUnknown, false},
		{"127 is unknown", "exit 127", fence.PowerUnknown, false},
		{"a signal is unknown", "kill -TERM $$", fence.PowerUnknown, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := scripted(t, row.script)
			got, err := d.Status(t.Context(), shot)
			if got != row.status || (err == nil) != (row.status != fence.PowerUnknown) {
				t.Errorf("status: %v (%v), want %v", got, err, row.status)
			}
			if err := d.Off(t.Context(), shot); (err == nil) != row.off {
				t.Errorf("off: %v", err)
			}
		})
	}
}

func TestAgentGetsAllOnItsInput(t *testing.T) {
	out := t.TempDir()
	d := scripted(t, `echo "$in" >`+out+`/in; tr '\0' '\n' </proc/$$/cmdline >`+out+`/argv; env >`+out+`/env; exit 0`)
	if err := d.Off(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(out + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := "nodename=db1\nip=10.1.0.5\nplug=5\npassword=" + secret + "\naction=off\n"
	if got := read("in"); got != want {
		t.Errorf("input %q\n want %q", got, want)
	}
	if got := read("argv"); got != "/bin/sh\n"+d.agent.path+"\n" {
		t.Errorf("arguments %q", got)
	}
	if env := read("env"); !strings.Contains(env, "LANG=C\n") || strings.Contains(env, "s3cret") || strings.Contains(env, "HOME=") {
		t.Errorf("environment %q", env)
	}
}

func TestQuotesAndSpaceSurviveTheAgentsLibrary(t *testing.T) {
	for value, want := range map[string]string{
		"plain": "plain", `a"b`: `a"b`, `"`: `"`, `"quoted"`: `""quoted""`, " space ": `" space "`, "": "",
	} {
		if got := quoted(value); got != want {
			t.Errorf("%q is sent as %q, want %q", value, got, want)
		}
	}
}

func TestNoErrorShowsTheSecret(t *testing.T) {
	for name, script := range map[string]string{
		"said":   `echo "$in" | grep password >&2; exit 1`,
		"long":   `head -c 190 /dev/zero | tr '\0' x; echo "$in" | grep password; exit 1`,
		"hangs":  `head -c 190 /dev/zero | tr '\0' x; echo "$in" | grep password; sleep 100`,
		"status": `echo "$in" | grep password; exit 2`,
	} {
		d := scripted(t, script)
		d.options.Timeout = time.Second
		_, err := d.Status(t.Context(), shot)
		if err == nil || strings.Contains(err.Error(), "s3c") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A command that arrives when somebody else has the epoch would be a second shot.
func TestAgentThatHangsIsKilledWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	d := scripted(t, `(trap '' TERM; echo $$ >`+pid+`; while :; do sleep 100; done) & wait`)
	d.options.Timeout = 500 * time.Millisecond
	began := time.Now()
	err := d.Off(t.Context(), shot)
	if err == nil || !strings.Contains(err.Error(), "time limit of 500ms") || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal("the child never ran: ", err)
	}
	group, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a child lives on")
		}
	}
}

func TestAgentThatOthersMayChangeIsNotRun(t *testing.T) {
	d := scripted(t, "exit 2")
	if err := os.Chmod(d.agent.path, 0o777); err != nil {
		t.Fatal(err)
	}
	if power, err := d.Status(t.Context(), shot); power != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), "everybody may write") {
		t.Errorf("got %v %v", power, err)
	}
}

func TestNameAndIdentity(t *testing.T) {
	m := described(t, program(t, frame, "exit 0"))
	m.Name = "fence_test"
	for want, values := range map[string]map[string]string{
		"fence_test 10.1.0.5":        {"ip": "10.1.0.5"},
		"fence_test 10.1.0.5 plug 5": {"ip": "10.1.0.5", "plug": "5"},
	} {
		d, err := New(m, Options{Values: values})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := d.Identity(t.Context()); d.Name() != want || id != want || err != nil {
			t.Errorf("name %q, identity %q (%v), want %q", d.Name(), id, err, want)
		}
	}
	bare := &Device{agent: m, name: "fence_test"}
	if _, err := bare.Identity(t.Context()); !errors.Is(err, fence.ErrNoIdentity) {
		t.Errorf("neither ip nor plug: %v", err)
	}
}

// run fences with the whole chain on short budgets.
func run(t testing.TB, d fence.Device) fence.Result {
	t.Helper()
	p, err := fence.NewPlan([]fence.Level{{d}}, fence.Budgets{
		Total: 40 * time.Second, Device: 10 * time.Second, Call: 20 * time.Second,
		Poll: 20 * time.Millisecond, Confirm: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fence.Run(t.Context(), p, shot, func() error { return nil }, slog.New(slog.DiscardHandler))
}

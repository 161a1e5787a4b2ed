package fence_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/fence"
)

var update = flag.Bool("update", false, "write what happened into the scenario files")

// A scenario file says how the devices behave, and after "---" what the chain must do with them, in
// virtual time: each call of a device and each question to the guard, then the result.
//
//	budget device=2s confirm=1s
//	device NAME: on|off, TRAIT, ...
//	level NAME NAME
//	says NAME uuid-1            the device knows whose power it cuts
//	recorded NAME uuid-1        and that is what it said when its machine was known
//	guard no from 2             the second question is answered with no
//	cancel 3s
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			setup, want, _ := strings.Cut(string(text), "---\n")
			s := parse(t, setup)
			var got string
			synctest.Test(t, func(t *testing.T) { got = s.play(t) })
			if *update {
				if err := os.WriteFile(file, []byte(setup+"---\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the chain does something else (-want +got):\n%s", diff)
			}
		})
	}
}

type scenario struct {
	budgets fence.Budgets
	levels  []fence.Level
	devices map[string]*device
	noFrom  int // the first question that the guard answers with no; zero: never
	cancel  time.Duration
	// recorded is what the ledger has of the devices.
	recorded map[string]string
	began    time.Time
	trace    bytes.Buffer
}

func (s *scenario) tell(format string, args ...any) {
	fmt.Fprintf(&s.trace, "%7s  %s\n", time.Since(s.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

func parse(t *testing.T, setup string) *scenario {
	t.Helper()
	s := &scenario{devices: map[string]*device{}, recorded: map[string]string{}}
	for line := range strings.Lines(setup) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "budget":
			s.parseBudget(t, rest)
		case "device":
			name, traits, _ := strings.Cut(rest, ":")
			s.devices[name] = newDevice(t, s, name, traits)
		case "level":
			var l fence.Level
			for _, name := range strings.Fields(rest) {
				if s.devices[name] == nil {
					t.Fatalf("%q: no such device", line)
				}
				l = append(l, s.devices[name].asDevice())
			}
			s.levels = append(s.levels, l)
		case "says":
			name, text, _ := strings.Cut(rest, " ")
			s.devices[name].identity = text
		case "recorded":
			name, text, _ := strings.Cut(rest, " ")
			s.recorded[name] = text
		case "guard":
			if _, err := fmt.Sscanf(rest, "no from %d", &s.noFrom); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		case "cancel":
			s.cancel = duration(t, rest)
		default:
			t.Fatalf("%q: not understood", line)
		}
	}
	return s
}

func (s *scenario) parseBudget(t *testing.T, text string) {
	t.Helper()
	fields := map[string]*time.Duration{
		"total": &s.budgets.Total, "device": &s.budgets.Device, "call": &s.budgets.Call,
		"poll": &s.budgets.Poll, "confirm": &s.budgets.Confirm,
	}
	for _, f := range strings.Fields(text) {
		name, value, _ := strings.Cut(f, "=")
		if fields[name] == nil {
			t.Fatalf("budget %q: not understood", f)
		}
		*fields[name] = duration(t, value)
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var errSuperseded = errors.New("epoch 42 is not ours any more")

// play runs the chain and writes down what it did.
func (s *scenario) play(t *testing.T) string {
	plan, err := fence.NewPlan(s.levels, s.budgets)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if s.cancel > 0 {
		time.AfterFunc(s.cancel, func() { cancel(errors.New("the node came back")) })
	}
	s.began = time.Now()
	asked := 0
	guard := func() error {
		asked++
		if s.noFrom > 0 && asked >= s.noFrom {
			s.tell("guard: no")
			return errSuperseded
		}
		s.tell("guard: yes")
		return nil
	}
	shot := fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}.WithIdentities(s.recorded)
	res := fence.Run(ctx, plan, shot, guard, slog.New(slog.DiscardHandler))
	s.tell("outcome %s", res.Outcome)
	fmt.Fprintf(&s.trace, "method: %s\ndetail: %s\n", res.Method, res.Detail)
	if (res.Err == nil) != (res.Outcome == fence.Off) {
		t.Errorf("outcome %s with error %v", res.Outcome, res.Err)
	}
	if got, want := errors.Is(res.Err, fence.ErrRevoked), strings.Contains(s.trace.String(), "guard: no"); got != want {
		t.Errorf("ErrRevoked is %v though the guard's no is %v: %v", got, want, res.Err)
	}
	for _, step := range res.Steps {
		fmt.Fprintf(&s.trace, "step: %s\n", step)
	}
	return s.trace.String()
}

// device behaves as its traits say:
//
//	obeys after D   power goes off a while after the command
//	stuck           accepts the command and does nothing
//	refuses         answers the command with an error, and does nothing
//	loses answers   obeys the command, and answers it with an error
//	silent          answers nothing, with an error at once
//	hangs           answers nothing until it is given up
//	silent after D, hangs after D  from then on
//	garbled         answers status with neither on nor off
//	back after D    power comes back a while after it went off
//	switched on after D  somebody does that; a command then works
//	ack             has no status; its acknowledgement counts
type device struct {
	s            *scenario
	name         string
	traits       map[string]time.Duration
	off          bool
	goesOff      time.Time // when a command takes effect; zero: none
	acknowledges bool
	identity     string
}

func newDevice(t *testing.T, s *scenario, name, traits string) *device {
	t.Helper()
	d := &device{s: s, name: name, traits: map[string]time.Duration{}}
	for trait := range strings.SplitSeq(traits, ",") {
		trait, after, timed := strings.Cut(strings.TrimSpace(trait), " after ")
		var wait time.Duration
		if timed {
			wait = duration(t, after)
		}
		switch trait {
		case "on", "stuck", "refuses", "loses answers", "silent", "hangs", "garbled", "obeys", "back", "switched on":
		case "off":
			d.off = true
		case "ack":
			d.acknowledges = true
		default:
			t.Fatalf("device %s: trait %q not understood", name, trait)
		}
		d.traits[trait] = wait
	}
	return d
}

// asDevice hides TrustsAck of devices that can be read.
func (d *device) asDevice() fence.Device {
	if d.acknowledges {
		return &ackDevice{d}
	}
	if d.identity != "" {
		return &knownDevice{d}
	}
	return d
}

type knownDevice struct{ *device }

func (d *knownDevice) Identity(ctx context.Context) (string, error) {
	d.s.tell("%s identity", d.name)
	switch err := d.answers(ctx); {
	case err != nil:
		return "", err
	case d.identity == "nothing":
		return "", fence.ErrNoIdentity
	}
	return d.identity, nil
}

type ackDevice struct{ *device }

func (*ackDevice) TrustsAck() bool { return true }

func (d *device) Name() string { return d.name }

func (d *device) is(trait string) bool { _, ok := d.traits[trait]; return ok }

var errSilent = errors.New("no answer")

// answers is nil when the device can be reached.
func (d *device) answers(ctx context.Context) error {
	switch {
	case d.is("hangs") && time.Since(d.s.began) >= d.traits["hangs"]:
		<-ctx.Done()
		return context.Cause(ctx)
	case d.is("silent") && time.Since(d.s.began) >= d.traits["silent"]:
		return errSilent
	}
	return nil
}

func (d *device) Status(ctx context.Context, _ fence.Shot) (fence.PowerState, error) {
	d.s.tell("%s status", d.name)
	if err := d.answers(ctx); err != nil {
		return fence.PowerUnknown, err
	}
	now := time.Now()
	switch {
	case d.is("garbled"):
		return fence.PowerUnknown, nil
	case d.is("back") && !d.goesOff.IsZero() && now.Sub(d.goesOff) >= d.traits["back"]:
		return fence.PowerOn, nil
	case d.off && !(d.is("switched on") && now.Sub(d.s.began) >= d.traits["switched on"]), !d.goesOff.IsZero() && !now.Before(d.goesOff):
		return fence.PowerOff, nil
	}
	return fence.PowerOn, nil
}

func (d *device) Off(ctx context.Context, _ fence.Shot) error {
	d.s.tell("%s OFF", d.name)
	if err := d.answers(ctx); err != nil {
		return err
	}
	switch {
	case d.is("refuses"):
		return errors.New("refused")
	case d.is("stuck"):
		return nil
	}
	if d.goesOff.IsZero() {
		d.goesOff = time.Now().Add(d.traits["obeys"])
	}
	if d.is("loses answers") {
		return errSilent
	}
	return nil
}

package ipmi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/test/bmc"
)

var shot = fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}

const password = "s3cret-of-the-bmc"

// simulated starts an ipmi_sim with a host that is switched on. It knows suite 3, but not 17.
func simulated(t *testing.T) *bmc.BMC {
	t.Helper()
	if err := bmc.Available(); err != nil {
		t.Skip(err)
	}
	b, err := bmc.Start(t.Context(), bmc.Options{
		Dir: t.TempDir(), Name: "db1", Password: password, Boot: "trap '' TERM; sleep 1000 & exec sleep 1000",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.PowerOn(); err != nil {
		t.Fatal(err)
	}
	return b
}

func device(t *testing.T, o Options) *Device {
	t.Helper()
	if o.Username == "" {
		o.Username = "fence"
	}
	if o.Password == "" {
		o.Password = password
	}
	if o.Timeout == 0 {
		o.Timeout = 200 * time.Millisecond
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func power(t *testing.T, d *Device, want fence.PowerState) {
	t.Helper()
	if got, err := d.Status(t.Context(), shot); got != want || err != nil {
		t.Fatalf("power is %v (%v), want %v", got, err, want)
	}
}

// run fences with the whole chain on short budgets.
func run(t *testing.T, d fence.Device) fence.Result {
	t.Helper()
	p, err := fence.NewPlan([]fence.Level{{d}}, fence.Budgets{
		Total: 6 * time.Second, Device: 2 * time.Second, Call: 2 * time.Second,
		Poll: 20 * time.Millisecond, Confirm: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fence.Run(t.Context(), p, shot, func() error { return nil }, slog.New(slog.DiscardHandler))
}

func TestOffCutsThePower(t *testing.T) {
	b := simulated(t)
	d := device(t, Options{Address: b.Addr()})
	power(t, d, fence.PowerOn)
	if err := d.Off(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	power(t, d, fence.PowerOff)
	if err := d.Off(t.Context(), shot); err != nil {
		t.Errorf("off of what is off: %v", err)
	}
	if d.worked.Load() != 3 {
		t.Errorf("suite %d is remembered, want 3", d.worked.Load())
	}
}

func TestChainProvesOff(t *testing.T) {
	b := simulated(t)
	d := device(t, Options{Address: b.Addr()})
	if r := run(t, d); r.Outcome != fence.Off || r.Method != "ipmi "+b.Addr() {
		t.Fatalf("got %+v", r)
	}
	if r := run(t, d); r.Outcome != fence.Off || !strings.HasPrefix(r.Detail, "already off") {
		t.Errorf("the second time: %+v", r)
	}
	commands, err := b.Commands()
	if err != nil || strings.Join(commands, ",") != "set power 0" {
		t.Errorf("the BMC was told %q (%v)", commands, err)
	}
}

func TestStuckBMCIsNotOff(t *testing.T) {
	b := simulated(t)
	if err := b.Stuck(true); err != nil {
		t.Fatal(err)
	}
	if r := run(t, device(t, Options{Address: b.Addr()})); r.Outcome != fence.NotOff {
		t.Errorf("got %+v", r)
	}
}

func TestRefusingBMCIsNotOff(t *testing.T) {
	b := simulated(t)
	if err := b.Refuse(true); err != nil {
		t.Fatal(err)
	}
	r := run(t, device(t, Options{Address: b.Addr()}))
	if r.Outcome != fence.NotOff || !strings.Contains(r.Detail, "chassis power down") {
		t.Errorf("got %+v", r)
	}
}

func TestSlowBMCIsAwaited(t *testing.T) {
	b := simulated(t)
	if err := b.Slow(500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := run(t, device(t, Options{Address: b.Addr()}))
	if r.Outcome != fence.Off || time.Since(began) < 500*time.Millisecond {
		t.Errorf("got %+v after %v", r, time.Since(began))
	}
}

func TestDeadBMCIsUnreachable(t *testing.T) {
	b := simulated(t)
	d := device(t, Options{Address: b.Addr()})
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := d.Off(t.Context(), shot); !errors.Is(err, ErrUnreachable) {
		t.Errorf("off: %v", err)
	}
	if took, want := time.Since(began), (retries+1)*200*time.Millisecond; took < want/2 || took > want+2*time.Second {
		t.Errorf("took %v, want about %v", took, want)
	}
	if r := run(t, d); r.Outcome != fence.Unknown || !errors.Is(r.Err, ErrUnreachable) {
		t.Errorf("chain: %+v", r)
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	for _, c := range must(b.Commands()) {
		if c == "set power 0" {
			t.Error("a command arrived late")
		}
	}
}

func TestDeadBMCDoesNotOutlastTheContext(t *testing.T) {
	b := simulated(t)
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	d := device(t, Options{Address: b.Addr(), Timeout: time.Minute})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("the epoch is another's")) })
	began := time.Now()
	_, err := d.Status(ctx, shot)
	if err == nil || !strings.Contains(err.Error(), "the epoch is another's") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	settled(t, before)
}

// A session that is open when the BMC dies must not be waited for, nor closed twice.
func TestBMCThatDiesInASession(t *testing.T) {
	b := simulated(t)
	d := device(t, Options{Address: b.Addr()})
	before := runtime.NumGoroutine()
	s := fence.Shot{}.WithGuard(func() error { return b.Freeze() }) // asked once the session is open
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if err := d.Off(ctx, s); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	settled(t, before)
}

func TestRightLostWhileConnectingIsNoCommand(t *testing.T) {
	b := simulated(t)
	d := device(t, Options{Address: b.Addr()})
	lost := errors.New("epoch 43 is another's")
	err := d.Off(t.Context(), fence.Shot{}.WithGuard(func() error { return lost }))
	if !errors.Is(err, fence.ErrRevoked) || !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	power(t, d, fence.PowerOn)
}

func TestWrongLoginIsToldFromSilence(t *testing.T) {
	b := simulated(t)
	for name, o := range map[string]Options{
		"wrong password": {Address: b.Addr(), Password: "wr0ng-password"},
		"unknown user":   {Address: b.Addr(), Username: "nobody"},
	} {
		_, err := device(t, o).Status(t.Context(), shot)
		if !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error shows the password or has several lines: %q", name, err)
		}
	}
}

func TestNoCipherSuiteInCommon(t *testing.T) {
	b := simulated(t)
	_, err := device(t, Options{Address: b.Addr(), Ciphers: []int{17}}).Status(t.Context(), shot)
	if !errors.Is(err, ErrCipher) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyOnThePort(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := c.LocalAddr().String()
	c.Close()
	if _, err := device(t, Options{Address: address}).Status(t.Context(), shot); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// settled waits until no more goroutines run than before: none was left behind.
func settled(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("goroutines were left behind:\n%s", stacks[:runtime.Stack(stacks, true)])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The simulator's GUID, in the byte order that the machine's own firmware shows.
func TestIdentityIsTheSystemsGUID(t *testing.T) {
	var d fence.Identifier = device(t, Options{Address: simulated(t).Addr()})
	id, err := d.Identity(t.Context())
	if want := "674523a1-ab89-efcd-a123-456789abcdef"; id != want || err != nil {
		t.Errorf("got %q (%v), want %s", id, err, want)
	}
}

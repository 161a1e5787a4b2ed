package ipmi

import (
	"context"
	"errors"
	"testing"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/hal/mock"
	"github.com/bougou/go-ipmi/pkg/server"
	"github.com/bougou/go-ipmi/pkg/transport/udp"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/solevip/solevip/fence"
)

// inProcess serves a BMC that knows the given suites only: ipmi_sim has no SHA-256.
func inProcess(t *testing.T, address string, suites ...types.CipherSuiteID) (string, *mock.Chassis) {
	t.Helper()
	hal := mock.New()
	chassis := hal.Chassis().(*mock.Chassis)
	chassis.On = true
	b := bmc.New(bmc.DeviceInfo{IPMIVersion: 0x20}, [16]byte{1}, hal, bmc.WithCipherSuites(suites))
	user, err := b.Users.Add(2, "fence")
	if err != nil {
		t.Fatal(err)
	}
	user.SetPassword([]byte(password))
	user.Enabled = true
	// The least that may switch a chassis.
	user.ChannelAccess[1] = bmc.UserChannelAccess{MaxPrivilege: bmc.PrivilegeLevelOperator, Enabled: true}
	conn, err := udp.Listen(address)
	if err != nil {
		t.Skip("needs a loopback address: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := server.NewServer(b, conn)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		s.Close()
		<-served
	})
	return conn.LocalAddr().String(), chassis
}

func TestSuite17(t *testing.T) {
	address, _ := inProcess(t, "127.0.0.1:0", types.CipherSuiteID17)
	d := device(t, Options{Address: address})
	if r := run(t, d); r.Outcome != fence.Off {
		t.Errorf("got %+v", r)
	}
	if d.worked.Load() != 17 {
		t.Errorf("suite %d is remembered, want 17", d.worked.Load())
	}
}

func TestSuiteIsFoundAgainAfterTheBMCWasReplaced(t *testing.T) {
	address, _ := inProcess(t, "127.0.0.1:0", types.CipherSuiteID3)
	d := device(t, Options{Address: address})
	d.worked.Store(17)
	power(t, d, fence.PowerOn)
	if d.worked.Load() != 3 {
		t.Errorf("suite %d is remembered, want 3", d.worked.Load())
	}
}

func TestWrongPasswordWithSuite17(t *testing.T) {
	address, _ := inProcess(t, "127.0.0.1:0", types.CipherSuiteID17)
	if _, err := device(t, Options{Address: address, Password: "wr0ng"}).Status(t.Context(), shot); !errors.Is(err, ErrAuth) {
		t.Errorf("got %v", err)
	}
}

func TestPrivilegeBeyondTheUsers(t *testing.T) {
	address, _ := inProcess(t, "127.0.0.1:0", types.CipherSuiteID17)
	if _, err := device(t, Options{Address: address, Privilege: "administrator"}).Status(t.Context(), shot); !errors.Is(err, ErrAuth) {
		t.Errorf("got %v", err)
	}
}

func TestIPv6(t *testing.T) {
	address, _ := inProcess(t, "[::1]:0", types.CipherSuiteID17)
	power(t, device(t, Options{Address: address}), fence.PowerOn)
}

// A stuck BMC of the other implementation: it accepts, and the power stays.
func TestStuckBMCWithSuite17(t *testing.T) {
	address, chassis := inProcess(t, "127.0.0.1:0", types.CipherSuiteID17)
	chassis.SetPowerHook = func(bool) error { return nil }
	if r := run(t, device(t, Options{Address: address})); r.Outcome != fence.NotOff {
		t.Errorf("got %+v", r)
	}
}

func TestBMCWithoutAGUIDHasNoIdentity(t *testing.T) {
	address, _ := inProcess(t, "127.0.0.1:0", types.CipherSuiteID17)
	if id, err := device(t, Options{Address: address}).Identity(t.Context()); id != "" || !errors.Is(err, fence.ErrNoIdentity) {
		t.Errorf("got %q (%v)", id, err)
	}
}

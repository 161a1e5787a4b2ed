package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/test/bmc"
	"github.com/solevip/solevip/test/redfishbmc"
)

// The tests of this file run the agents of Debian's package fence-agents.

func installed(t testing.TB) {
	t.Helper()
	if _, err := find("fence_ipmilan"); err != nil {
		t.Skip(err)
	}
}

const password = "s3cret-of-bmc"

// simulated starts an ipmi_sim with a host that is switched on, and fence_ipmilan for it.
func simulated(t testing.TB, values map[string]string) (*bmc.BMC, *Device) {
	t.Helper()
	installed(t)
	if err := bmc.Available(); err != nil {
		t.Skip(err)
	}
	b, err := bmc.Start(t.Context(), bmc.Options{Dir: t.TempDir(), Name: "db1", Password: password, Boot: "exec sleep 1000"})
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
	host, port, _ := strings.Cut(b.Addr(), ":")
	o := Options{
		Values:  map[string]string{"ip": host, "ipport": port, "username": "fence", "lanplus": "1", "cipher": "3", "power_wait": "0"},
		Secrets: map[string]string{"password": password},
	}
	for name, value := range values {
		o.Values[name] = value
	}
	m, err := Read(t.Context(), "fence_ipmilan")
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return b, d
}

func TestIPMILanCutsThePower(t *testing.T) {
	b, d := simulated(t, nil)
	if err := d.Validate(t.Context()); err != nil {
		t.Errorf("validate: %v", err)
	}
	if power, err := d.Status(t.Context(), shot); power != fence.PowerOn || err != nil {
		t.Fatalf("power %v (%v)", power, err)
	}
	if r := run(t, d); r.Outcome != fence.Off {
		t.Fatalf("got %+v", r)
	}
	if r := run(t, d); r.Outcome != fence.Off || !strings.HasPrefix(r.Detail, "already off") {
		t.Errorf("the second time: %+v", r)
	}
	if commands, err := b.Commands(); err != nil || strings.Join(commands, ",") != "set power 0" {
		t.Errorf("the BMC was told %q (%v)", commands, err)
	}
}

func TestIPMILanOfAStuckBMCIsNotOff(t *testing.T) {
	b, d := simulated(t, map[string]string{"power_timeout": "1"})
	if err := b.Stuck(true); err != nil {
		t.Fatal(err)
	}
	if r := run(t, d); r.Outcome != fence.NotOff || !strings.Contains(r.Detail, "Timed out waiting to power OFF") {
		t.Errorf("got %+v", r)
	}
}

func TestIPMILanOfADeadBMCIsUnknown(t *testing.T) {
	b, d := simulated(t, map[string]string{"power_timeout": "60"})
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	d.options.Timeout = 2 * time.Second
	power, err := d.Status(t.Context(), shot)
	if power != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), "time limit of 2s") {
		t.Errorf("got %v %v", power, err)
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
}

func TestIPMILanWithAWrongPasswordIsUnknown(t *testing.T) {
	_, d := simulated(t, nil)
	d.options.Secrets["password"] = "wr0ng-password"
	if power, err := d.Status(t.Context(), shot); power != fence.PowerUnknown || err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("got %v %v", power, err)
	}
}

// The agent knows what its metadata doesn't say.
func TestValidateFindsWhatMetadataHides(t *testing.T) {
	installed(t)
	d, err := New(described(t, "fence_ipmilan"), Options{Values: map[string]string{"username": "fence"}, Secrets: map[string]string{"password": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(t.Context()); err == nil || !strings.Contains(err.Error(), "fence address") {
		t.Errorf("got %v", err)
	}
}

func TestDummy(t *testing.T) {
	installed(t)
	file := filepath.Join(t.TempDir(), "power")
	if err := os.WriteFile(file, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := described(t, "fence_dummy")
	o := Options{Values: map[string]string{"status_file": file}}
	if p := m.Check(o); len(p) != 1 || !p[0].Doubt {
		t.Errorf("a dummy without a doubt: %v", p)
	}
	d, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, d); r.Outcome != fence.Off {
		t.Errorf("got %+v", r)
	}
	if text, err := os.ReadFile(file); string(text) != "off" || err != nil {
		t.Errorf("the file says %q (%v)", text, err)
	}
	if err := os.WriteFile(file, []byte("neither"), 0o600); err != nil {
		t.Fatal(err)
	}
	if power, err := d.Status(t.Context(), shot); power != fence.PowerUnknown || err == nil {
		t.Errorf("a power that is neither: %v %v", power, err)
	}
}

// fence_redfish and package redfish agree on what a BMC says.
func TestRedfishAgent(t *testing.T) {
	installed(t)
	b := redfishbmc.New(t, map[string]*redfishbmc.Machine{
		"1": {UUID: "4c4c4544-0042-3510-8052-b4c04f4e4d31", Power: "On"},
		"2": {UUID: "4c4c4544-0042-3510-8052-b4c04f4e4d32", Power: "On", Lag: 300 * time.Millisecond},
	})
	host, port, _ := strings.Cut(b.Address(), ":")
	m := described(t, "fence_redfish")
	o := Options{
		Values:  map[string]string{"ip": host, "ipport": port, "username": redfishbmc.Username, "ssl_insecure": "1", "power_wait": "0"},
		Secrets: map[string]string{"password": redfishbmc.Password},
	}
	if _, err := New(m, o); err == nil || !strings.Contains(err.Error(), "option systems_uri: is missing: without it the last system of the BMC is shot") {
		t.Errorf("a guess among systems: %v", err)
	}
	o.Values["systems_uri"] = redfishbmc.Systems + "/2"
	d, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, d); r.Outcome != fence.Off || b.Power("1") != "On" {
		t.Errorf("got %+v, machine 1 is %s", r, b.Power("1"))
	}
}

// Which of the agents are taken, and why the others aren't.
func TestEveryAgentOfThePackage(t *testing.T) {
	installed(t)
	if testing.Short() {
		t.Skip("runs more than eighty Python programs")
	}
	paths, err := filepath.Glob("/usr/sbin/fence_*")
	if err != nil || len(paths) < 50 {
		t.Skipf("%d agents are installed; this is about the whole package", len(paths))
	}
	got := map[string]string{}
	for _, path := range paths {
		if _, err := Read(t.Context(), path); err != nil {
			got[filepath.Base(path)] = fmt.Sprint(err)
		}
	}
	want := map[string]string{
		"fence_brocade":    "/usr/sbin/fence_brocade cuts a node off its storage or network, not its power: its addresses may stay up",
		"fence_cisco_mds":  "/usr/sbin/fence_cisco_mds cuts a node off its storage or network, not its power: its addresses may stay up",
		"fence_ifmib":      "/usr/sbin/fence_ifmib cuts a node off its storage or network, not its power: its addresses may stay up",
		"fence_sanbox2":    "/usr/sbin/fence_sanbox2 cuts a node off its storage or network, not its power: its addresses may stay up",
		"fence_ovh":        "/usr/sbin/fence_ovh has no action status: nothing would prove that the power is off",
		"fence_rcd_serial": "/usr/sbin/fence_rcd_serial has no action off: a reboot is no proof",
		"fence_zvmip":      "/usr/sbin/fence_zvmip proves no power off: missing_as_off is its default, and a machine that the device can't see would count as off",
	}
	for name, why := range notPower {
		if _, err := os.Stat("/usr/sbin/" + name); err == nil {
			want[name] = name + " proves no power off: " + why
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

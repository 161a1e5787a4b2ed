package redfish

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/test/redfishbmc"
)

const (
	uuid1 = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
	uuid2 = "4c4c4544-0042-3510-8052-b4c04f4e4d32"
)

var shot = fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}

type machine = redfishbmc.Machine

// alone is a BMC of one machine.
func alone(t testing.TB) *redfishbmc.BMC {
	return redfishbmc.New(t, map[string]*machine{"1": {UUID: uuid1, Power: "On"}})
}

// blades is a BMC of a chassis.
func blades(t testing.TB) *redfishbmc.BMC {
	return redfishbmc.New(t, map[string]*machine{"1": {UUID: uuid1, Power: "On"}, "2": {UUID: uuid2, Power: "On"}})
}

// device is a device for a BMC, with its login and authority unless the options say otherwise.
func device(t testing.TB, m *redfishbmc.BMC, o Options) *Device {
	t.Helper()
	if o.Address == "" {
		o.Address = m.Address()
	}
	if o.Username == "" {
		o.Username = redfishbmc.Username
	}
	if o.Password == "" {
		o.Password = redfishbmc.Password
	}
	if o.CA == nil && o.Fingerprint == "" {
		o.CA = m.CA()
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t testing.TB, d *Device, want fence.PowerState) {
	t.Helper()
	if got, err := d.Status(t.Context(), shot); got != want || (err != nil) != (want == fence.PowerUnknown) {
		t.Fatalf("power is %v (%v), want %v", got, err, want)
	}
}

// run fences with the whole chain on short budgets.
func run(t testing.TB, d fence.Device) fence.Result {
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

// tells are the requests, shortened for tables.
func tells(requests []string) string {
	var all []string
	for _, r := range requests {
		all = append(all, strings.NewReplacer(systems, "S", "Actions/ComputerSystem.Reset", "Reset", `{"ResetType":"ForceOff"}`, "ForceOff").Replace(r))
	}
	return fmt.Sprint(all)
}

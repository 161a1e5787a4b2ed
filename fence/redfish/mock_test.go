package redfish

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
)

const (
	username = "fence"
	password = "s3cret-of-the-bmc"

	uuid1 = "4c4c4544-0042-3510-8052-b4c04f4e4d31"
	uuid2 = "4c4c4544-0042-3510-8052-b4c04f4e4d32"
)

var shot = fence.Shot{Target: "db1", Node: "db2", Epoch: 42, Group: "mysql"}

// machine is one computer system of a mock.
type machine struct {
	UUID      string
	Power     string // as PowerState says it
	State     string
	Allowable []string
	Target    string
	// Lag is how long the power takes to go; it reads PoweringOff meanwhile.
	Lag time.Duration
}

// mock is a BMC with Redfish over TLS.
type mock struct {
	*httptest.Server
	mu       sync.Mutex
	machines map[string]*machine
	requests []string
	cuts     map[string]time.Time // when power goes, by machine
	// answer comes first; true: it answered.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newMock(t testing.TB, machines map[string]*machine) *mock {
	t.Helper()
	m := &mock{machines: machines, cuts: map[string]time.Time{}}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	m.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	m.StartTLS()
	t.Cleanup(m.Close)
	return m
}

// alone is a BMC of one machine.
func alone(t testing.TB) *mock {
	return newMock(t, map[string]*machine{"1": {UUID: uuid1, Power: "On"}})
}

// blades is a BMC of a chassis.
func blades(t testing.TB) *mock {
	return newMock(t, map[string]*machine{"1": {UUID: uuid1, Power: "On"}, "2": {UUID: uuid2, Power: "On"}})
}

func (m *mock) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	m.requests = append(m.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
	if m.answer != nil && m.answer(w, r) {
		return
	}
	if user, pass, _ := r.BasicAuth(); user != username || pass != password {
		say(w, http.StatusUnauthorized, "the password of "+user+" isn't "+pass+", nor "+r.Header.Get("Authorization"))
		return
	}
	rest, below := strings.CutPrefix(r.URL.Path, systems)
	id, action, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	switch one := m.machines[id]; {
	case below && rest == "" && r.Method == http.MethodGet:
		m.list(w)
	case !below || one == nil:
		say(w, http.StatusNotFound, "no such resource")
	case action == "" && r.Method == http.MethodGet:
		m.system(w, id, one)
	case strings.HasPrefix(action, "Actions/") && r.Method == http.MethodPost:
		m.reset(w, id, one, body)
	default:
		say(w, http.StatusMethodNotAllowed, "not that")
	}
}

func say(w http.ResponseWriter, code int, text string) {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": "Base.1.0.GeneralError", "message": "see the extended information",
		"@Message.ExtendedInfo": []any{map[string]any{"Message": text}},
	}})
}

func (m *mock) list(w http.ResponseWriter) {
	members := []any{}
	for _, id := range slices.Sorted(maps.Keys(m.machines)) {
		members = append(members, map[string]string{"@odata.id": systems + "/" + id})
	}
	json.NewEncoder(w).Encode(map[string]any{"Members": members, "Members@odata.count": len(members)})
}

func (m *mock) system(w http.ResponseWriter, id string, one *machine) {
	if at, ok := m.cuts[id]; ok {
		one.Power = "PoweringOff"
		if time.Now().After(at) {
			one.Power = "Off"
		}
	}
	target := one.Target
	if target == "" {
		target = systems + "/" + id + "/Actions/ComputerSystem.Reset"
	}
	reset := map[string]any{"target": target}
	if one.Allowable != nil {
		reset["ResetType@Redfish.AllowableValues"] = one.Allowable
	}
	var power any = one.Power
	if one.Power == "null" {
		power = nil
	}
	json.NewEncoder(w).Encode(map[string]any{
		"@odata.id": systems + "/" + id, "Id": id, "UUID": strings.ToUpper(one.UUID), "PowerState": power,
		"Status": map[string]any{"State": one.State}, "Actions": map[string]any{"#ComputerSystem.Reset": reset},
	})
}

func (m *mock) reset(w http.ResponseWriter, id string, one *machine, body []byte) {
	var order struct{ ResetType string }
	switch err := json.Unmarshal(body, &order); {
	case err != nil || order.ResetType != "ForceOff":
		say(w, http.StatusBadRequest, "what is that?")
	case one.Power == "Off":
		say(w, http.StatusConflict, "the system is off already")
	default:
		m.cuts[id] = time.Now().Add(one.Lag)
		w.WriteHeader(http.StatusNoContent)
	}
}

// will has the mock answer in its own way from now on.
func (m *mock) will(answer func(w http.ResponseWriter, r *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// change changes a machine.
func (m *mock) change(id string, do func(*machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(m.machines[id])
}

// got is the requests so far; they are then forgotten.
func (m *mock) got() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.requests
	m.requests = nil
	return all
}

func (m *mock) power(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, cut := m.cuts[id]; cut && time.Now().After(at) {
		return "Off"
	}
	return m.machines[id].Power
}

func (m *mock) address() string { return m.Listener.Addr().String() }

func (m *mock) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
}

func (m *mock) fingerprint() string {
	sum := sha256.Sum256(m.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

// device is a device for the mock, with its login and authority unless the options say otherwise.
func (m *mock) device(t testing.TB, o Options) *Device {
	t.Helper()
	if o.Address == "" {
		o.Address = m.address()
	}
	if o.Username == "" {
		o.Username = username
	}
	if o.Password == "" {
		o.Password = password
	}
	if o.CA == nil && o.Fingerprint == "" {
		o.CA = m.ca()
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

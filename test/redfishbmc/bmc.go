// Package redfishbmc is a Redfish BMC for tests: computer systems behind HTTPS with Basic
// authentication, that take their time to go off, that refuse, and that answer whatever a test wants.
//
// It owns as much of DSP0266 as fencing meets; Debian's fence_redfish, another client, agrees with
// it. It kills nothing.
package redfishbmc

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
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
)

// Who may log in.
const (
	Username = "fence"
	Password = "s3cret-of-the-bmc"
)

// Systems is the path of the list of systems.
const Systems = "/redfish/v1/Systems"

// Machine is one computer system.
type Machine struct {
	UUID      string
	Power     string // as PowerState says it
	State     string
	Allowable []string
	Target    string
	// Lag is how long the power takes to go; it reads PoweringOff meanwhile.
	Lag time.Duration
}

// BMC is one controller.
type BMC struct {
	*httptest.Server
	mu       sync.Mutex
	machines map[string]*Machine
	requests []string
	cuts     map[string]time.Time // when power goes, by machine
	// answer comes first; true: it answered.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

// New starts a BMC; the test's end stops it.
func New(t testing.TB, machines map[string]*Machine) *BMC {
	t.Helper()
	m := &BMC{machines: machines, cuts: map[string]time.Time{}}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	m.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	m.StartTLS()
	t.Cleanup(m.Close)
	return m
}

func (m *BMC) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	m.requests = append(m.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
	if m.answer != nil && m.answer(w, r) {
		return
	}
	if user, pass, _ := r.BasicAuth(); user != Username || pass != Password {
		Refuse(w, http.StatusUnauthorized, "the password of "+user+" isn't "+pass+", nor "+r.Header.Get("Authorization"))
		return
	}
	rest, below := strings.CutPrefix(r.URL.Path, Systems)
	id, action, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	switch one := m.machines[id]; {
	case below && rest == "" && r.Method == http.MethodGet:
		m.list(w)
	case !below || one == nil:
		Refuse(w, http.StatusNotFound, "no such resource")
	case action == "" && r.Method == http.MethodGet:
		m.system(w, id, one)
	case strings.HasPrefix(action, "Actions/") && r.Method == http.MethodPost:
		m.reset(w, id, one, body)
	default:
		Refuse(w, http.StatusMethodNotAllowed, "not that")
	}
}

// Refuse answers with an error as DSP0266 §8.6 wants it.
func Refuse(w http.ResponseWriter, code int, text string) {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": "Base.1.0.GeneralError", "message": "see the extended information",
		"@Message.ExtendedInfo": []any{map[string]any{"Message": text}},
	}})
}

func (m *BMC) list(w http.ResponseWriter) {
	members := []any{}
	for _, id := range slices.Sorted(maps.Keys(m.machines)) {
		members = append(members, map[string]string{"@odata.id": Systems + "/" + id})
	}
	json.NewEncoder(w).Encode(map[string]any{"Members": members, "Members@odata.count": len(members)})
}

func (m *BMC) system(w http.ResponseWriter, id string, one *Machine) {
	if at, ok := m.cuts[id]; ok {
		one.Power = "PoweringOff"
		if time.Now().After(at) {
			one.Power = "Off"
		}
	}
	target := one.Target
	if target == "" {
		target = Systems + "/" + id + "/Actions/ComputerSystem.Reset"
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
		"@odata.id": Systems + "/" + id, "Id": id, "UUID": strings.ToUpper(one.UUID), "PowerState": power,
		"Status": map[string]any{"State": one.State}, "Actions": map[string]any{"#ComputerSystem.Reset": reset},
	})
}

func (m *BMC) reset(w http.ResponseWriter, id string, one *Machine, body []byte) {
	var order struct{ ResetType string }
	switch err := json.Unmarshal(body, &order); {
	case err != nil || order.ResetType != "ForceOff":
		Refuse(w, http.StatusBadRequest, "what is that?")
	case one.Power == "Off":
		Refuse(w, http.StatusConflict, "the system is off already")
	default:
		m.cuts[id] = time.Now().Add(one.Lag)
		w.WriteHeader(http.StatusNoContent)
	}
}

// Will has the BMC answer in its own way from now on.
func (m *BMC) Will(answer func(w http.ResponseWriter, r *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// Change changes a machine.
func (m *BMC) Change(id string, do func(*Machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do(m.machines[id])
}

// Replace puts other machines behind the BMC.
func (m *BMC) Replace(machines map[string]*Machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machines, m.cuts = machines, map[string]time.Time{}
}

// Requests are those so far; they are then forgotten.
func (m *BMC) Requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.requests
	m.requests = nil
	return all
}

// Power is a machine's, whatever the BMC says.
func (m *BMC) Power(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, cut := m.cuts[id]; cut && time.Now().After(at) {
		return "Off"
	}
	return m.machines[id].Power
}

// Address is host:port.
func (m *BMC) Address() string { return m.Listener.Addr().String() }

// CA is the certificate in PEM form, which has signed itself.
func (m *BMC) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
}

// Fingerprint is the certificate's SHA-256 in hexadecimal.
func (m *BMC) Fingerprint() string {
	sum := sha256.Sum256(m.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

package redfish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/test/redfishbmc"
)

func TestOffCutsThePower(t *testing.T) {
	m := alone(t)
	d := device(t, m, Options{})
	read(t, d, fence.PowerOn)
	if err := d.Off(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	read(t, d, fence.PowerOff)
	// The place of the system is remembered: one request reads it, two switch it off.
	if got, want := tells(m.Requests()), "[GET S GET S/1 GET S/1 POST S/1/Reset ForceOff GET S/1]"; got != want {
		t.Errorf("requests %s\n    want %s", got, want)
	}
}

func TestOffOfWhatIsOffIsSuccess(t *testing.T) {
	for name, code := range map[string]int{"409 as the standard has it": 409, "400 as some have it": 400, "500": 500} {
		m := alone(t)
		m.Change("1", func(one *machine) { one.Power = "Off" })
		m.Will(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				redfishbmc.Refuse(w, code, "the system is off already")
			}
			return r.Method == http.MethodPost
		})
		if err := device(t, m, Options{}).Off(t.Context(), shot); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := alone(t)
	m.Change("1", func(one *machine) { one.Power, one.Allowable = "Off", []string{"On"} })
	if err := device(t, m, Options{}).Off(t.Context(), shot); err != nil {
		t.Errorf("a BMC that offers only On while off: %v", err)
	}
}

func TestRefusedOffOfWhatIsOnIsAnError(t *testing.T) {
	m := alone(t)
	m.Will(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			redfishbmc.Refuse(w, http.StatusConflict, "firmware is being updated")
		}
		return r.Method == http.MethodPost
	})
	err := device(t, m, Options{}).Off(t.Context(), shot)
	if err == nil || !strings.Contains(err.Error(), "409 Conflict: firmware is being updated") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyTheLiteralOffIsOff(t *testing.T) {
	for power, want := range map[string]fence.PowerState{
		"On": fence.PowerOn, "PoweringOn": fence.PowerOn, "PoweringOff": fence.PowerOn, "Paused": fence.PowerOn,
		"Off": fence.PowerOff,
		"off": fence.PowerUnknown, "OFF": fence.PowerUnknown, "": fence.PowerUnknown, "null": fence.PowerUnknown, "Off ": fence.PowerUnknown,
	} {
		m := alone(t)
		m.Change("1", func(one *machine) { one.Power = power })
		got, err := device(t, m, Options{}).Status(t.Context(), shot)
		if got != want || (err != nil) != (want == fence.PowerUnknown) {
			t.Errorf("%q is %v (%v), want %v", power, got, err, want)
		}
	}
}

func TestEmptySlotProvesNothing(t *testing.T) {
	m := alone(t)
	m.Change("1", func(one *machine) { one.Power, one.State = "Off", "Absent" })
	read(t, device(t, m, Options{}), fence.PowerUnknown)
}

func TestChainAwaitsASlowMachine(t *testing.T) {
	m := alone(t)
	m.Change("1", func(one *machine) { one.Lag = 300 * time.Millisecond })
	began := time.Now()
	r := run(t, device(t, m, Options{}))
	if r.Outcome != fence.Off || time.Since(began) < 300*time.Millisecond {
		t.Errorf("got %+v after %v", r, time.Since(began))
	}
	if r := run(t, device(t, m, Options{})); r.Outcome != fence.Off || !strings.HasPrefix(r.Detail, "already off") {
		t.Errorf("the second time: %+v", r)
	}
}

func TestMachineThatNeverGoesIsNotOff(t *testing.T) {
	m := alone(t)
	m.Change("1", func(one *machine) { one.Lag = time.Hour })
	if r := run(t, device(t, m, Options{})); r.Outcome != fence.NotOff {
		t.Errorf("got %+v", r)
	}
}

func TestTheRightSystemOfSeveral(t *testing.T) {
	for _, row := range []struct {
		name string
		o    Options
		off  string // the machine that is switched off; empty: an error
		says string
	}{
		{"by UUID", Options{UUID: uuid2}, "2", ""},
		{"by UUID in capitals", Options{UUID: strings.ToUpper(uuid1)}, "1", ""},
		{"by id", Options{System: "1"}, "1", ""},
		{"by both", Options{System: "2", UUID: uuid2}, "2", ""},
		{"by nothing", Options{}, "", "has 2: 1, 2; say which, by system or uuid"},
		{"an id that isn't there", Options{System: "3"}, "", `no system "3", only 1, 2`},
		{"a UUID that isn't there", Options{UUID: strings.Replace(uuid1, "4c", "5c", 1)}, "", "0 of 1, 2 have the UUID 5c4c4544"},
		{"id and UUID of different ones", Options{System: "1", UUID: uuid2}, "", "want " + uuid2},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := blades(t)
			err := device(t, m, row.o).Off(t.Context(), shot)
			for _, id := range []string{"1", "2"} {
				if off := m.Power(id) == "Off"; off != (id == row.off) {
					t.Errorf("machine %s is off: %v", id, off)
				}
			}
			if row.off == "" && (!errors.Is(err, ErrSystem) || !strings.Contains(err.Error(), row.says)) || row.off != "" && err != nil {
				t.Errorf("got %v, want %q", err, row.says)
			}
		})
	}
}

func TestAnotherMachineBehindTheBMCIsNotShot(t *testing.T) {
	m := alone(t)
	d := device(t, m, Options{UUID: uuid1})
	read(t, d, fence.PowerOn)
	m.Change("1", func(one *machine) { one.UUID, one.Power = uuid2, "Off" }) // the boards were swapped
	if power, err := d.Status(t.Context(), shot); power != fence.PowerUnknown || !errors.Is(err, ErrSystem) {
		t.Errorf("status of another machine: %v %v", power, err)
	}
	m.Change("1", func(one *machine) { one.Power = "On" })
	if err := d.Off(t.Context(), shot); !errors.Is(err, ErrSystem) || m.Power("1") != "On" {
		t.Errorf("off of another machine: %v", err)
	}
}

func TestSystemThatMovedIsFoundAgain(t *testing.T) {
	m := blades(t)
	d := device(t, m, Options{UUID: uuid1})
	read(t, d, fence.PowerOn)
	m.Replace(map[string]*machine{"2": {UUID: uuid2, Power: "On"}, "7": {UUID: uuid1, Power: "Off"}})
	read(t, d, fence.PowerOff)
	m.Replace(map[string]*machine{"2": {UUID: uuid1, Power: "Off"}, "7": {UUID: uuid2, Power: "On"}})
	read(t, d, fence.PowerOff)
}

func TestSlotThatCannotBeReadHidesNoOther(t *testing.T) {
	m := blades(t)
	m.Will(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == systems+"/1" {
			redfishbmc.Refuse(w, http.StatusInternalServerError, "empty slot")
			return true
		}
		return false
	})
	read(t, device(t, m, Options{UUID: uuid2}), fence.PowerOn)
	_, err := device(t, m, Options{UUID: uuid1}).Status(t.Context(), shot)
	if !errors.Is(err, ErrSystem) || !strings.Contains(err.Error(), "empty slot") {
		t.Errorf("got %v", err)
	}
}

func TestListInPages(t *testing.T) {
	m := blades(t)
	m.Will(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.RequestURI() {
		case systems:
			fmt.Fprintf(w, `{"Members": [{"@odata.id": "%s/1"}], "Members@odata.nextLink": "%s?$skip=1"}`, systems, systems)
		case systems + "?$skip=1":
			fmt.Fprintf(w, `{"Members": [{"@odata.id": "%s/2"}]}`, systems)
		default:
			return false
		}
		return true
	})
	read(t, device(t, m, Options{UUID: uuid2}), fence.PowerOn)

	m.Will(func(w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprintf(w, `{"Members": [], "Members@odata.nextLink": "%s"}`, systems)
		return true
	})
	if _, err := device(t, m, Options{UUID: uuid2}).Status(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a list without end: %v", err)
	}
}

func TestIdentityIsTheUUID(t *testing.T) {
	m := blades(t)
	var d fence.Identifier = device(t, m, Options{System: "2"})
	if id, err := d.Identity(t.Context()); id != uuid2 || err != nil {
		t.Errorf("got %q (%v), want %s", id, err, uuid2)
	}
	for _, none := range []string{"", "00000000-0000-0000-0000-000000000000", "to be filled by O.E.M."} {
		m.Change("2", func(one *machine) { one.UUID = none })
		if id, err := d.Identity(t.Context()); id != "" || !errors.Is(err, fence.ErrNoIdentity) {
			t.Errorf("UUID %q: %q (%v)", none, id, err)
		}
	}
}

func TestWrongLoginShowsNoSecret(t *testing.T) {
	m := alone(t)
	for name, o := range map[string]Options{
		"wrong password": {Password: "wr0ng-password"},
		"unknown user":   {Username: "nobody", Password: "wr0ng-password"},
	} {
		d := device(t, m, o)
		_, err := d.Status(t.Context(), shot)
		if !errors.Is(err, ErrAuth) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, secret := range append(d.secrets, "wr0ng") {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q is in %q", name, secret, err)
			}
		}
		if !strings.Contains(err.Error(), "isn't ***, nor Basic ***") { // the mock repeats them
			t.Errorf("%s: the BMC's words are missing: %v", name, err)
		}
	}
}

func TestLinksAndRedirectsLeadNowhereElse(t *testing.T) {
	visits := 0
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits++ }))
	defer elsewhere.Close()
	there := elsewhere.Listener.Addr().String()
	redirect := func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "https://"+there+"/redfish/v1/Systems", http.StatusTemporaryRedirect)
		return true
	}
	link := func(to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, `{"Members": [{"@odata.id": %q}]}`, to)
			return true
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"redirect":                   redirect,
		"link with a host":           link("https://" + there + "/redfish/v1/Systems/1"),
		"link without a scheme":      link("//" + there + "/redfish/v1/Systems/1"),
		"link that ends the address": link(".example.net/redfish/v1/Systems/1"),
		"link with a user":           link("@" + there + "/redfish/v1/Systems/1"),
		"link to another tree":       link("/cgi-bin/reset"),
	} {
		m := alone(t)
		m.Will(answer)
		if _, err := device(t, m, Options{}).Status(t.Context(), shot); err == nil || errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := alone(t)
	m.Change("1", func(one *machine) { one.Target = "https://" + there + "/redfish/v1/reset" })
	if err := device(t, m, Options{}).Off(t.Context(), shot); err == nil {
		t.Error("an action elsewhere was taken")
	}
	if visits > 0 {
		t.Errorf("%d requests went elsewhere", visits)
	}
}

func TestRedirectInPlaceIsFollowed(t *testing.T) {
	m := alone(t)
	m.Will(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == systems {
			http.Redirect(w, r, systems+"/", http.StatusPermanentRedirect)
			return true
		}
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		return false
	})
	read(t, device(t, m, Options{}), fence.PowerOn)
}

func TestTrust(t *testing.T) {
	m := alone(t)
	for _, row := range []struct {
		name string
		o    Options
		says string // empty: trusted
	}{
		{"authority", Options{CA: m.CA()}, ""},
		{"authority and name", Options{CA: m.CA(), ServerName: "example.com"}, ""},
		{"authority and another name", Options{CA: m.CA(), ServerName: "bmc.example.org"}, "not bmc.example.org"},
		{"fingerprint", Options{Fingerprint: m.Fingerprint()}, ""},
		{"fingerprint as openssl prints it", Options{Fingerprint: fingerprint(m.Certificate())}, ""},
		{"another fingerprint", Options{Fingerprint: strings.Repeat("0F:", 31) + "0F"}, "it has the fingerprint " + fingerprint(m.Certificate())},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := device(t, m, row.o).Status(t.Context(), shot)
			if row.says == "" && err != nil || row.says != "" && (!errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), row.says)) {
				t.Errorf("got %v, want %q", err, row.says)
			}
			if got := m.Requests(); (len(got) == 0) != (row.says != "") {
				t.Errorf("it was asked %q", got)
			}
		})
	}
	d, err := New(Options{Address: m.Address(), Username: redfishbmc.Username, Password: redfishbmc.Password}) // the system's authorities
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Status(t.Context(), shot)
	if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), "shows the fingerprint "+fingerprint(m.Certificate())+", pin it") {
		t.Errorf("unknown authority: %v", err)
	}
	if got := m.Requests(); len(got) > 0 {
		t.Errorf("a BMC that isn't trusted was asked %q", got)
	}
}

func TestAnswersThatAreNoneOfOurs(t *testing.T) {
	for name, row := range map[string]struct{ body, says string }{
		"not JSON":      {"<html>login</html>", "isn't the JSON"},
		"endless":       {strings.Repeat(" ", bodyLimit+1), "more than 1048576 bytes"},
		"no systems":    {`{"Members": []}`, "the BMC has no system"},
		"another shape": {`{"Members": "none"}`, "isn't the JSON"},
	} {
		m := alone(t)
		m.Will(func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, row.body); return true })
		if power, err := device(t, m, Options{}).Status(t.Context(), shot); power != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v %v", name, power, err)
		}
	}
	m := alone(t)
	m.Change("1", func(one *machine) { one.Allowable = []string{"On", "GracefulShutdown"} })
	if err := device(t, m, Options{}).Off(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "can't do ForceOff, only On, GracefulShutdown") {
		t.Errorf("no ForceOff: %v", err)
	}
}

func TestSlowBMCDoesNotOutlastItsLimits(t *testing.T) {
	m := alone(t)
	hang := make(chan struct{})
	defer close(hang)
	m.Will(func(http.ResponseWriter, *http.Request) bool { <-hang; return true })
	began := time.Now()
	_, err := device(t, m, Options{Timeout: 100 * time.Millisecond}).Status(t.Context(), shot)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "time limit of 100ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("the epoch is another's")) })
	if _, err := device(t, m, Options{}).Status(ctx, shot); err == nil || !strings.Contains(err.Error(), "the epoch is another's") {
		t.Errorf("cancelled: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	d, err := New(Options{Address: l.Addr().String(), Username: redfishbmc.Username, Password: redfishbmc.Password})
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, d); r.Outcome != fence.Unknown || !errors.Is(r.Err, ErrUnreachable) {
		t.Errorf("got %+v", r)
	}
}

func TestRightLostIsNoCommand(t *testing.T) {
	lost := errors.New("epoch 43 is another's")
	for asked := range 2 { // when connected, and right before the command
		m := alone(t)
		n := 0
		err := device(t, m, Options{}).Off(t.Context(), shot.WithGuard(func() error {
			n++
			if n > asked {
				return lost
			}
			return nil
		}))
		if !errors.Is(err, fence.ErrRevoked) || !errors.Is(err, lost) || errors.Is(err, ErrUnreachable) {
			t.Errorf("revoked when asked %d times before: %v", asked, err)
		}
		for _, r := range m.Requests() {
			if asked == 0 || strings.HasPrefix(r, "POST") {
				t.Errorf("revoked when asked %d times before: the BMC got %s", asked, r)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	ok := Options{Address: "10.1.0.5", Username: "fence", Password: "s3cret"}
	for _, row := range []struct {
		change func(*Options)
		says   string // part of the error, or "name: " and the name
	}{
		{func(*Options) {}, "name: redfish 10.1.0.5"},
		{func(o *Options) { o.Address = "10.1.0.5:8443" }, "name: redfish 10.1.0.5:8443"},
		{func(o *Options) { o.Address, o.System = "[fd00::1]:443", "1" }, "name: redfish fd00::1 system 1"},
		{func(o *Options) { o.Address = "" }, "no address"},
		{func(o *Options) { o.Address = "https://10.1.0.5" }, "isn't a number"},
		{func(o *Options) { o.Address = "https://10.1.0.5:443" }, "address isn't host"},
		{func(o *Options) { o.Address = "10.1.0.5/redfish" }, "address isn't host"},
		{func(o *Options) { o.Address = "10.1.0.5:0" }, "port \"0\""},
		{func(o *Options) { o.Username = "" }, "username is empty"},
		{func(o *Options) { o.Username = "a:b" }, "has a colon"},
		{func(o *Options) { o.Password = "" }, "no password"},
		{func(o *Options) { o.System = "/redfish/v1/Systems/1" }, "isn't an id"},
		{func(o *Options) { o.UUID = "4c4c4544" }, "uuid \"4c4c4544\" isn't like"},
		{func(o *Options) { o.UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff" }, "never set"},
		{func(o *Options) { o.CA = []byte("none") }, "no certificate in PEM form"},
		{func(o *Options) { o.Fingerprint = "AB:CD" }, "isn't a SHA-256"},
		{func(o *Options) { o.Fingerprint, o.ServerName = strings.Repeat("ab", 32), "bmc" }, "excludes"},
		{func(o *Options) { o.Timeout = -time.Second }, "positive duration"},
	} {
		o := ok
		row.change(&o)
		d, err := New(o)
		name, isName := strings.CutPrefix(row.says, "name: ")
		switch {
		case isName && (err != nil || d.Name() != name):
			t.Errorf("%+v: %v, want the name %s", o, err, name)
		case !isName && (err == nil || !strings.Contains(err.Error(), row.says)):
			t.Errorf("%+v: %v, want %q", o, err, row.says)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("the password is in %q", err)
		}
	}
}

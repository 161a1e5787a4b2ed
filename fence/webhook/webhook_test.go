package webhook

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/fence"
)

var shot = fence.Shot{Target: "db 1/&=?", Node: "db2", Epoch: 42, Group: "mysql"}

// strip is a power strip with an HTTPS interface.
type strip struct {
	*httptest.Server
	mu       sync.Mutex
	off      bool
	requests []string                                          // method and URI, as received
	answer   func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newStrip(t *testing.T) *strip {
	t.Helper()
	s := &strip{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *strip) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.RequestURI)
	if s.answer != nil && s.answer(w, r) {
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/off") && r.Method == http.MethodPost:
		s.off = true
		w.WriteHeader(http.StatusAccepted)
	case strings.HasSuffix(r.URL.Path, "/status"):
		state := "on"
		if s.off {
			state = "off"
		}
		fmt.Fprintf(w, `{"power": {"state": %q}}`, state)
	default:
		http.NotFound(w, r)
	}
}

// will has the strip answer in its own way from now on.
func (s *strip) will(answer func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *strip) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *strip) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func (s *strip) options() Options {
	return Options{
		URL:    s.URL + "/outlet/5/{action}",
		CA:     s.ca(),
		Status: &Status{URL: s.URL + "/outlet/5/{action}", Off: "power.state = off"},
	}
}

func device(t *testing.T, o Options) *Device {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestChainOverAStrip(t *testing.T) {
	s := newStrip(t)
	d := device(t, s.options())
	p, err := fence.NewPlan([]fence.Level{{d}}, fence.Budgets{Confirm: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := fence.Run(t.Context(), p, shot, func() error { return nil }, slog.New(slog.DiscardHandler))
	if r.Outcome != fence.Off || r.Method != "webhook "+s.URL+"/outlet/5/{action}" {
		t.Errorf("got %+v", r)
	}
	want := []string{"GET /outlet/5/status", "POST /outlet/5/off", "GET /outlet/5/status", "GET /outlet/5/status"}
	if got := s.got(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

func TestPlacesAreFilledInEscaped(t *testing.T) {
	s := newStrip(t)
	o := s.options()
	o.URL = s.URL + "/{target}/off?node={target}&epoch={epoch}&do={action}"
	if err := device(t, o).Off(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	want := "POST /db%201%2F%26%3D%3F/off?node=db%201%2F%26%3D%3F&epoch=42&do=off"
	if got := s.got(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeadersAndMethodsAreSent(t *testing.T) {
	s := newStrip(t)
	var got http.Header
	s.will(func(_ http.ResponseWriter, r *http.Request) bool { got = r.Header.Clone(); return false })
	o := s.options()
	var err error
	o.Headers, err = ParseHeaders([]byte("# the strip's token\nAuthorization: Bearer t0ken-of-the-strip\n\nX-Strip: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	o.Status.Method = "POST"
	if _, err := device(t, o).Status(t.Context(), shot); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "Bearer t0ken-of-the-strip" || got.Get("X-Strip") != "5" {
		t.Errorf("headers %v", got)
	}
	if r := s.got(); r[0] != "POST /outlet/5/status" {
		t.Errorf("request %q", r[0])
	}
}

func TestAnswersThatProveNothing(t *testing.T) {
	s := newStrip(t)
	for name, row := range map[string]struct {
		code int
		body string
		says string
	}{
		"no JSON":          {200, "<html>log in</html>", "not JSON"},
		"two values":       {200, `{"power":{"state":"off"}} {}`, "more than one"},
		"no such path":     {200, `{"power":{}}`, "at power.state: no such name"},
		"another kind":     {200, `{"power":{"state":0}}`, "at power.state: a number, not a string"},
		"null":             {200, `{"power":{"state":null}}`, "no string"},
		"empty":            {200, "", "empty"},
		"no content":       {204, "", "empty"},
		"cut off":          {200, `{"power":{"state":"off"},"padding":"` + strings.Repeat("x", bodyLimit) + `"}`, "not JSON"},
		"an error":         {500, `{"power":{"state":"off"}}`, "answer 500"},
		"not allowed":      {401, `{"power":{"state":"off"}}`, "answer 401"},
		"redirect nowhere": {302, `{"power":{"state":"off"}}`, "302"},
	} {
		s.will(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(row.code)
			fmt.Fprint(w, row.body)
			return true
		})
		power, err := device(t, s.options()).Status(t.Context(), shot)
		if power != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, %v; want %q", name, power, err, row.says)
		}
	}
}

func TestOffIsAcceptedByTwoHundredsOnly(t *testing.T) {
	s := newStrip(t)
	for code, accepted := range map[int]bool{200: true, 202: true, 204: true, 304: false, 403: false, 409: false, 503: false} {
		s.will(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true })
		if err := device(t, s.options()).Off(t.Context(), shot); (err == nil) != accepted {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	elsewhere := newStrip(t)
	s := newStrip(t)
	redirect := func(code int, to string) {
		s.will(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/moved") {
				return false
			}
			http.Redirect(w, r, to, code)
			return true
		})
	}
	o := s.options()
	o.CA = append(o.CA, elsewhere.ca()...)
	d := device(t, o)

	redirect(http.StatusTemporaryRedirect, s.URL+"/moved/off")
	if err := d.Off(t.Context(), shot); err != nil {
		t.Errorf("on the same host, keeping the method: %v", err)
	}
	redirect(http.StatusFound, s.URL+"/moved/status")
	if err := d.Off(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "turns POST into GET") {
		t.Errorf("that loses the command: %v", err)
	}
	redirect(http.StatusTemporaryRedirect, elsewhere.URL+"/off")
	if err := d.Off(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "another place") {
		t.Errorf("to another host: %v", err)
	}
	redirect(http.StatusTemporaryRedirect, s.URL+"/again/off")
	if err := d.Off(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "more than 3 redirects") {
		t.Errorf("for ever: %v", err)
	}
	if got := elsewhere.got(); len(got) != 0 {
		t.Errorf("the other host got %q", got)
	}
}

func TestCertificateIsChecked(t *testing.T) {
	s := newStrip(t)
	o := s.options()
	o.CA = nil
	if _, err := device(t, o).Status(t.Context(), shot); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	if got := s.got(); len(got) != 0 {
		t.Errorf("the impostor got %q", got)
	}
}

func TestErrorsHideSecrets(t *testing.T) {
	s := newStrip(t)
	o := s.options()
	hidden := strings.Replace(s.URL, "https://", "https://user:passw0rd@", 1) + "/{action}?key=t0ken%2Bvalue&node={target}"
	o.URL, o.Status.URL = hidden, hidden
	o.Headers = http.Header{"X-Token": {"header-secret"}}
	d := device(t, o)
	// A server that repeats what it was sent, and one that isn't there.
	s.will(func(w http.ResponseWriter, r *http.Request) bool {
		u, p, _ := r.BasicAuth()
		http.Error(w, fmt.Sprint(r.RequestURI, r.Header, u, p, r.URL.Query()), http.StatusForbidden)
		return true
	})
	repeated := d.Off(t.Context(), shot)
	s.CloseClientConnections()
	s.Close()
	gone := d.Off(t.Context(), shot)
	for _, text := range []string{d.Name(), fmt.Sprint(repeated), fmt.Sprint(gone)} {
		for _, secret := range []string{"passw0rd", "t0ken", "header-secret"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q shows %s", text, secret)
			}
		}
	}
	if !strings.Contains(fmt.Sprint(repeated), "403") || !strings.Contains(fmt.Sprint(gone), "refused") {
		t.Errorf("errors %v and %v don't say why", repeated, gone)
	}
	if want := "?key=***&node={target}"; !strings.HasSuffix(d.Name(), want) {
		t.Errorf("name %q, want %s at its end", d.Name(), want)
	}
}

func TestContextEndsARequest(t *testing.T) {
	s := newStrip(t)
	s.will(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("the epoch is another's")) })
	if err := device(t, s.options()).Off(ctx, shot); err == nil || !strings.Contains(err.Error(), "the epoch is another's") {
		t.Errorf("got %v", err)
	}
	o := s.options()
	o.Timeout = 50 * time.Millisecond
	if err := device(t, o).Off(t.Context(), shot); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRightLostWhileConnectingIsNoCommand(t *testing.T) {
	s := newStrip(t)
	lost := errors.New("epoch 43 is another's")
	err := device(t, s.options()).Off(t.Context(), shot.WithGuard(func() error { return lost }))
	if !errors.Is(err, fence.ErrRevoked) || len(s.got()) != 0 {
		t.Errorf("got %v, and requests %q", err, s.got())
	}
}

func TestTrustedAcknowledgement(t *testing.T) {
	s := newStrip(t)
	o := s.options()
	o.Status, o.TrustAck = nil, true
	d := device(t, o)
	if !d.TrustsAck() || device(t, s.options()).TrustsAck() {
		t.Error("only what can't be read trusts its acknowledgement")
	}
	if power, err := d.Status(t.Context(), shot); power != fence.PowerUnknown || !errors.Is(err, fence.ErrNoStatus) {
		t.Errorf("status %v, %v", power, err)
	}
}

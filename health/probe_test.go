package health

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// want asks a probe, and wants an error with a text, or none.
func want(t *testing.T, p Probe, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := p.Probe(ctx)
	switch {
	case text == "" && err != nil:
		t.Errorf("%+v: %v", p, err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("%+v: %v, want %q", p, err, text)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	want(t, TCP{l.Addr().String()}, "")
	l.Close()
	want(t, TCP{l.Addr().String()}, "refused")
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/broken":
			http.Error(w, "no database", http.StatusServiceUnavailable)
		case "/slow":
			<-r.Context().Done()
		default:
			w.Write([]byte("all is well"))
		}
	}))
	defer s.Close()
	want(t, HTTP{URL: s.URL}, "")
	want(t, HTTP{URL: s.URL + "/moved"}, "")
	want(t, HTTP{URL: s.URL + "/moved", Status: []int{200}}, "status 302")
	want(t, HTTP{URL: s.URL + "/broken"}, "status 503")
	want(t, HTTP{URL: s.URL + "/broken", Status: []int{503}}, "")
	want(t, HTTP{URL: s.URL, Body: regexp.MustCompile("^all")}, "")
	want(t, HTTP{URL: s.URL, Body: regexp.MustCompile("^nothing")}, "doesn't match")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := (HTTP{URL: s.URL + "/slow?token=s3cr3t"}).Probe(ctx); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("slow: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	s.Config.ErrorLog = nil
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	at := s.Listener.Addr().String()
	want(t, HTTP{URL: s.URL, Status: []int{404}, Roots: roots}, "")
	want(t, HTTP{URL: s.URL, Status: []int{404}}, "certificate")
	want(t, TLS{Address: at, Name: "example.com", Roots: roots}, "")
	want(t, TLS{Address: at, Name: "example.com"}, "certificate")
	want(t, TLS{Address: at, Name: "example.net", Roots: roots}, "certificate")
	soon := func() time.Time { return s.Certificate().NotAfter.Add(-24 * time.Hour) }
	want(t, TLS{Address: at, Name: "example.com", Roots: roots, Now: soon, ValidFor: 23 * time.Hour}, "")
	want(t, TLS{Address: at, Name: "example.com", Roots: roots, Now: soon, ValidFor: 25 * time.Hour}, "ends on")
	late := func() time.Time { return s.Certificate().NotAfter.Add(time.Hour) }
	want(t, TLS{Address: at, Name: "example.com", Roots: roots, Now: late}, "expired")
}

func TestInterface(t *testing.T) {
	want(t, Interface{"lo"}, "")
	want(t, Interface{"no-such-one"}, "interface no-such-one")
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "number")
	p := File{path}
	want(t, p, "") // not there
	for text, wrong := range map[string]string{"0\n": "", " 7 \n": "says 7", "": "doesn't hold", "seven": "doesn't hold", "255": "doesn't hold", "-3": "says -3"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, p, wrong)
	}
	if n, err := p.Count(t.Context()); err != nil || n > 7 {
		t.Logf("count %d, %v", n, err)
	}
	want(t, File{t.TempDir()}, "not a regular file")
}

func TestScript(t *testing.T) {
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"it is $1, $SOLEVIP_GROUP\"; [ \"$1\" = fine ] && exit 0; [ \"$1\" = slow ] && sleep 60; exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, Script{Path: path, Args: []string{"fine"}}, "")
	want(t, Script{Path: path, Args: []string{"bad"}, Env: []string{"SOLEVIP_GROUP=web"}}, "exit status 3: it is bad, web")
	want(t, Script{Path: path + "-not-there"}, "no such file")
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (Script{Path: path, Args: []string{"slow"}}).Probe(ctx); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("a slow script: %v after %v", err, time.Since(began))
	}
}

func TestProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want(t, Process{Name: filepath.Base(exe), Least: 1}, "")
	want(t, Process{Name: "no-such-program", Least: 1}, "0 processes called no-such-program")

	dir := t.TempDir()
	for pid, stat := range map[int]string{7: "7 (a) b) S 1", 8: "8 (nginx) S 1", 9: "9 (nginx) Z 1", 10: "garbage"} {
		d := filepath.Join(dir, strconv.Itoa(pid))
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(t, Process{Name: "a) b", Least: 1, Proc: dir}, "")
	want(t, Process{Name: "nginx", Least: 1, Proc: dir}, "")
	want(t, Process{Name: "nginx", Least: 2, Proc: dir}, "1 processes called nginx, fewer than 2") // a zombie serves nobody
}

func TestMySQLRefusesWhatIsNoServer(t *testing.T) {
	if _, err := NewMySQL(MySQLOptions{DSN: "s3cr3t"}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	p, err := NewMySQL(MySQLOptions{DSN: "root:s3cr3t@tcp(" + at + ")/"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, p, "refused")
}

//go:build linux

package lab

import (
	"testing"
	"time"
)

func TestDaemonLogs(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"text", `time=2026-11-22T20:05:02.572Z level=INFO msg="address up" component=vip vip=10.77.0.50 epoch=2`, "address up  vip=10.77.0.50 epoch=2"},
		{"text with quotes", `time=2026-11-22T20:05:02.572Z level=WARN msg=fence reason="the \"stuck\" one" n=1`, `fence  WARN reason="the \"stuck\" one" n=1`},
		{"JSON in its order", `{"time":"2026-11-22T20:05:02.572Z","level":"INFO","msg":"address up","vip":"10.77.0.50","epoch":2}`, "address up  vip=10.77.0.50 epoch=2"},
		{"debug is left out", `time=2026-11-22T20:05:02.572Z level=DEBUG msg=packet`, ""},
		{"another form is left out", `Sun Nov 22 20:05:02 2026: (db) Entering MASTER STATE`, ""},
		{"a panic is left out", `goroutine 1 [running]:`, ""},
		{"half a line is left out", `{"time":"2026-11-22T20:05`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := parseLog(tt.line)
			if ok != (tt.want != "") || ok && e.Text != tt.want {
				t.Errorf("got %q, %v; want %q", e.Text, ok, tt.want)
			}
			if ok && !e.At.Equal(time.Date(2026, 11, 22, 20, 5, 2, 572e6, time.UTC)) {
				t.Errorf("time %v", e.At)
			}
		})
	}
}

func TestCutsAreToldOnce(t *testing.T) {
	tests := []struct {
		cuts []Cut
		want string
	}{
		{Between("db2", "db1"), "db1 <-> db2"},
		{OneWay("db2", "db1"), "db2 -> db1"},
		{FromPeers("db1"), "db1 <-> db2, arb <-> db1"},
		{NoVRRP(), "VRRP, everywhere"},
		{nil, "everything"},
	}
	for _, tt := range tests {
		if got := Describe(tt.cuts); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.cuts, got, tt.want)
		}
	}
}

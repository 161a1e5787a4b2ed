//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

// said runs the command and returns what it prints and its error.
func said(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := command()
	c.SetArgs(append([]string{"--dir", t.TempDir() + "/none"}, args...))
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no lab", []string{"status"}, "solevip-lab up"},
		{"nothing to remove", []string{"down", "--name", "nobody-has-this"}, "there is none"},
		{"a name that can't be one", []string{"down", "--name", "Not/this"}, "use up to 20 of"},
		{"half of a demo that there isn't", []string{"demo", "--only", "pacemaker"}, "solevip and keepalived"},
		{"a binary that isn't there", []string{"up", "--bin", "/nonexistent/solevip"}, "/nonexistent/solevip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := said(t, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q\n%s", err, tt.want, out)
			}
		})
	}
}

func TestHelpFitsTheScreen(t *testing.T) {
	all := [][]string{{"--help"}}
	for _, c := range command().Commands() {
		all = append(all, []string{c.Name(), "--help"})
	}
	for _, args := range all {
		out, err := said(t, args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		for line := range strings.Lines(out) {
			if len(strings.TrimRight(line, "\n")) > 110 { // flags' lines are the library's
				t.Errorf("%v: too wide: %s", args, line)
			}
		}
	}
}

func TestWhatToCut(t *testing.T) {
	tests := []struct {
		name string
		k    cutting
		args []string
		want string // empty: an error
	}{
		{"both directions", cutting{}, []string{"db1", "db2"}, "db1 <-> db2"},
		{"one direction", cutting{oneWay: true}, []string{"db1", "db2"}, "db1 -> db2"},
		{"from the peers", cutting{peers: true}, []string{"db2"}, "db1 <-> db2, arb <-> db2"},
		{"from everything", cutting{}, []string{"db1-bmc"}, "client <-> db1-bmc, db1 <-> db1-bmc, db1-bmc <-> db2, db1-bmc <-> db2-bmc, arb <-> db1-bmc"},
		{"VRRP", cutting{vrrp: true}, nil, "VRRP, everywhere"},
		{"nothing", cutting{}, nil, ""},
		{"one direction of one", cutting{oneWay: true}, []string{"db1"}, ""},
		{"VRRP of one", cutting{vrrp: true}, []string{"db1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cuts, err := tt.k.cuts(tt.args)
			if (err != nil) != (tt.want == "") || err == nil && lab.Describe(cuts) != tt.want {
				t.Errorf("got %q, %v; want %q", lab.Describe(cuts), err, tt.want)
			}
		})
	}
}

func TestStoryIsForNewcomers(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a decision", `decided  group=db action="propose take db by db2/2b2b2bb9.5fd081d4 (fence) from db1/eb80a756.d88ff071 at epoch 1 beat 1" epoch=1`,
			"propose take db by db2 (fence) from db1 at epoch 1 beat 1"},
		{"a permit", `decided  group=db action="bind: permit db epoch 2 until 46m10.367179324s" epoch=2`, "bind: permit db epoch 2"},
		{"what the judge saw", "db2 answers for 10.77.0.50", "db2 answers for 10.77.0.50"},
		{"a step on the way", `claiming  group=db epoch=2 reason=promoting`, ""},
		{"Raft's own", `heartbeat timeout reached, starting election  from=raft last-leader-id=x`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plain(lab.Event{At: time.Now(), Text: tt.text}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

package etcd

import (
	"strings"
	"testing"
	"time"
)

func TestOptionsAreCheckedAllAtOnce(t *testing.T) {
	sound := Options{Self: "a", Cluster: "orders", Endpoints: []string{"http://10.0.0.5:2379"}, Dir: "/tmp", TTL: 3 * time.Second}
	for name, c := range map[string]struct {
		change func(*Options)
		want   []string // nil: nothing is wrong
	}{
		"sound":                          {func(*Options) {}, nil},
		"nothing given":                  {func(o *Options) { *o = Options{} }, []string{"this node has no name", "cluster name", "state directory", "ttl", "no endpoint"}},
		"a cluster that is two keys":     {func(o *Options) { o.Cluster = "a/b" }, []string{`cluster name "a/b"`}},
		"an endpoint without its scheme": {func(o *Options) { o.Endpoints = []string{"10.0.0.5:2379"} }, []string{"https://10.0.0.5:2379"}},
		"an endpoint without its port":   {func(o *Options) { o.Endpoints = []string{"http://10.0.0.5"} }, []string{"http://10.0.0.5"}},
		"https without a CA":             {func(o *Options) { o.Endpoints = []string{"https://10.0.0.5:2379"} }, []string{"needs a CA"}},
		"http with certificates":         {func(o *Options) { o.TLS = &TLS{} }, []string{"must be https"}},
		"a user without a password":      {func(o *Options) { o.User = "solevip" }, []string{"belong together"}},
		"a ttl that no beat can keep":    {func(o *Options) { o.TTL = 200 * time.Millisecond }, []string{"400ms is the least"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := sound
			c.change(&o)
			err := o.check()
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v: want it to say %q", err, w)
				}
			}
		})
	}
}

func TestNoPasswordReachesAnError(t *testing.T) {
	o := Options{Self: "a", Cluster: "orders", Endpoints: []string{"http://root:hunter2@10.0.0.5:2379"}, Dir: "/tmp", TTL: time.Second, Password: "hunter2"}
	if err := o.check(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestKnownFlawsOfVersions(t *testing.T) {
	for version, want := range map[string][2]int{ // problems, warnings
		"3.3.27": {1, 0}, "3.4.23": {0, 2}, "3.4.20": {1, 2}, "3.4.45": {0, 1}, "3.5.0": {2, 1}, "3.5.5": {1, 1}, "3.5.16": {0, 1}, "3.5.23": {0, 0},
		"3.6.4": {0, 1}, "3.6.5": {0, 0}, "3.7.3": {0, 0}, "3.7.0-rc.1": {0, 0}, "yes": {0, 1},
	} {
		problems, warnings := flawsOf(version)
		if len(problems) != want[0] || len(warnings) != want[1] {
			t.Errorf("%s: problems %q, warnings %q, want %v", version, problems, warnings, want)
		}
	}
}

func TestTimingLetsABeatSurviveAMemberThatHangs(t *testing.T) {
	for _, ttl := range []time.Duration{minTTL, time.Second, 3 * time.Second, time.Minute} {
		if tm := timingFor(ttl); tm.attempt > ttl/4 || tm.attempt < minAttempt || tm.wait <= ttl || tm.quorum <= tm.probe {
			t.Errorf("ttl %v: %+v", ttl, tm)
		}
	}
}

package health

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTracker plays answers, + for good and - for bad, and wants the states after each: ? unknown, g good, b bad.
func TestTracker(t *testing.T) {
	for _, x := range []struct {
		name       string
		rise, fall int
		answers    string
		states     string
	}{
		{"the first answer decides at once", 3, 3, "+", "g"},
		{"also when it is bad", 3, 3, "-", "b"},
		{"fall bad ones in a row make it bad", 3, 2, "+--", "ggb"},
		{"one good one between begins anew", 3, 2, "+-+-+--", "ggggggb"},
		{"rise good ones in a row make it good", 3, 2, "-+++", "bbbg"},
		{"one bad one between begins anew", 3, 2, "-++-+++", "bbbbbbg"},
		{"after a change counting begins anew", 3, 2, "+--+++--", "ggbbbggb"},
		{"one is enough where one is asked for", 1, 1, "+-+-", "gbgb"},
	} {
		t.Run(x.name, func(t *testing.T) {
			tr := NewTracker(Options{Name: "x", Rise: x.rise, Fall: x.fall})
			var got strings.Builder
			was := tr.now
			for _, a := range x.answers {
				var err error
				if a == '-' {
					err = errors.New("no")
				}
				s, changed := tr.Answer(1, err)
				if changed != (s != was) {
					t.Errorf("changed = %t from %+v to %+v", changed, was, s)
				}
				was = s
				got.WriteByte("?gb"[s.State])
			}
			if diff := cmp.Diff(x.states, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSum(t *testing.T) {
	good := func(w int) Standing { return Standing{Name: "x", State: Good, Weight: w, Count: 1} }
	bad := func(w int) Standing { return Standing{Name: "x", State: Bad, Weight: w, Count: 1, Why: "no"} }
	unknown := func(w int) Standing { return Standing{Name: "x", Weight: w, Count: 1} }
	for _, x := range []struct {
		name string
		in   []Standing
		want Total
	}{
		{"nothing to check", nil, Total{}},
		{"a fault", []Standing{good(0), bad(0)}, Total{Fault: "check x: no"}},
		{"nothing known yet", []Standing{unknown(0)}, Total{Wait: "check x has not answered yet"}},
		{"nothing is waited for that can be no fault", []Standing{unknown(-50), unknown(50)}, Total{}},
		{"a negative weight counts while it is bad", []Standing{bad(-150), good(-20)}, Total{Delta: -150}},
		{"a positive weight counts while it is good", []Standing{good(30), bad(40)}, Total{Delta: 30}},
		{"weights add up", []Standing{good(30), bad(-40)}, Total{Delta: -10}},
		{"a counted one counts by its number", []Standing{{State: Good, Weight: -2, Count: 30}, {State: Good, Weight: 5, Count: 0}}, Total{Delta: -60}},
	} {
		t.Run(x.name, func(t *testing.T) {
			if diff := cmp.Diff(x.want, Sum(x.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPriorityStaysWithinWhatMayBeSaid(t *testing.T) {
	for _, x := range []struct {
		base  uint8
		delta int
		want  uint8
	}{{200, -150, 50}, {100, -150, 1}, {200, 100, 254}, {100, 0, 100}} {
		if got := Priority(x.base, x.delta); got != x.want {
			t.Errorf("%d %+d is %d, want %d", x.base, x.delta, got, x.want)
		}
	}
}

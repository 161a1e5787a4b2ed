//go:build linux

package lab

import (
	"testing"
	"time"
)

// at is a time of the tables below, in milliseconds.
func at(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }

// answering are answers each 2 ms, each of which took one millisecond, from one time to another.
func answering(node string, from, to int) []Answer {
	var all []Answer
	for ms := from; ms <= to; ms += 2 {
		all = append(all, Answer{Node: node, Sent: at(ms), Got: at(ms + 1)})
	}
	return all
}

func TestVerdictOnTwoHolders(t *testing.T) {
	var asked []time.Time
	for ms := 0; ms <= 500; ms += 2 {
		if ms < 400 || ms > 460 { // the judge itself paused
			asked = append(asked, at(ms))
		}
	}
	tests := []struct {
		name string
		a, b []Answer
		want time.Duration
	}{
		{"a handover has none", answering("a", 0, 100), answering("b", 104, 200), 0},
		{"a handover within one question has none", answering("a", 0, 100), answering("b", 100, 200), 0},
		{"both for a while", answering("a", 0, 200), answering("b", 101, 300), 200*time.Millisecond - 102*time.Millisecond},
		{"there and back has none", append(answering("a", 0, 100), answering("a", 200, 300)...), answering("b", 110, 190), 0},
		{"a few lost answers are no release", append(answering("a", 0, 100), answering("a", 118, 300)...), answering("b", 50, 150), 150*time.Millisecond - 51*time.Millisecond},
		{"the judge's own pause is no release", append(answering("a", 300, 398), answering("a", 462, 500)...), answering("b", 350, 480), 480*time.Millisecond - 351*time.Millisecond},
		{"one late answer proves an instant, and not which", []Answer{{"a", at(0), at(500)}}, answering("b", 100, 400), 0},
		{"answers that were long under way prove little", []Answer{{"a", at(0), at(90)}, {"a", at(2), at(90)}, {"a", at(100), at(101)}}, answering("b", 50, 150), 0},
		{"nobody", nil, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lasting(overlaps(append(spans(tt.a, asked), spans(tt.b, asked)...)))
			if got != tt.want {
				t.Errorf("two holders for %v, want %v", got, tt.want)
			}
		})
	}
}

func TestVerdictCountsThreeHoldersOnce(t *testing.T) {
	var all []Span
	for _, node := range []string{"a", "b", "c"} {
		all = append(all, Span{Node: node, From: at(0), To: at(100)})
	}
	if got := lasting(overlaps(all)); got != 100*time.Millisecond {
		t.Errorf("two holders for %v, want 100ms", got)
	}
}

func TestVerdictOnOutage(t *testing.T) {
	every10 := []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}
	tests := []struct {
		name     string
		asked    []int
		arrivals []int
		want     time.Duration
	}{
		{"all is answered", every10, []int{1, 11, 21, 31, 41, 51, 61, 71, 81, 91}, time.Millisecond},
		{"three questions without an answer", every10, []int{1, 11, 51, 61, 71, 81, 91}, 31 * time.Millisecond},
		{"from the window's start", every10, []int{41, 51, 61, 71, 81, 91}, 41 * time.Millisecond},
		{"to the window's end", every10, []int{1, 11, 21}, 70 * time.Millisecond},
		{"no answer at all", every10, nil, 100 * time.Millisecond},
		{"what is outside doesn't count", every10, []int{-50, 1, 11, 21, 31, 300}, 60 * time.Millisecond},
		{"answers that were held back come at once", every10, []int{1, 61, 62, 63, 64, 65, 66, 71, 81, 91}, 51 * time.Millisecond},
		{"a pause in the asking is no outage", []int{0, 10, 80, 90}, []int{1, 11, 81, 91, 99}, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := longestOutage(times(tt.arrivals), times(tt.asked), at(0), at(100)).Length(); got != tt.want {
				t.Errorf("outage %v, want %v", got, tt.want)
			}
		})
	}
}

func times(ms []int) []time.Time {
	var all []time.Time
	for _, m := range ms {
		all = append(all, at(m))
	}
	return all
}

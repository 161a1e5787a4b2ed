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
	const gap = 20 * time.Millisecond
	tests := []struct {
		name string
		a, b []Answer
		want time.Duration
	}{
		{"a handover has none", answering("a", 0, 100), answering("b", 104, 200), 0},
		{"a handover within one question has none", answering("a", 0, 100), answering("b", 100, 200), 0},
		{"both for a while", answering("a", 0, 200), answering("b", 101, 300), 200*time.Millisecond - 102*time.Millisecond},
		{"there and back has none", append(answering("a", 0, 100), answering("a", 200, 300)...), answering("b", 110, 190), 0},
		{"a pause within the gap is no release", append(answering("a", 0, 100), answering("a", 118, 300)...), answering("b", 50, 150), 150*time.Millisecond - 51*time.Millisecond},
		{"one late answer proves an instant, and not which", []Answer{{"a", at(0), at(500)}}, answering("b", 100, 400), 0},
		{"answers that were long under way prove little", []Answer{{"a", at(0), at(90)}, {"a", at(2), at(90)}, {"a", at(100), at(101)}}, answering("b", 50, 150), 0},
		{"nobody", nil, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lasting(overlaps(append(spans(tt.a, gap), spans(tt.b, gap)...)))
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
	tests := []struct {
		name     string
		arrivals []int
		want     time.Duration
	}{
		{"the longest pause", []int{1, 3, 5, 45, 47, 60, 99}, 40 * time.Millisecond},
		{"from the window's start", []int{30, 50, 70, 90}, 30 * time.Millisecond},
		{"to the window's end", []int{10, 20, 30}, 70 * time.Millisecond},
		{"no answer at all", nil, 100 * time.Millisecond},
		{"what is outside doesn't count", []int{-50, 0, 50, 100, 300}, 50 * time.Millisecond},
		{"arrivals in any order", []int{90, 10, 50}, 40 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var arrivals []time.Time
			for _, ms := range tt.arrivals {
				arrivals = append(arrivals, at(ms))
			}
			if got := longestOutage(arrivals, at(0), at(100)).Length(); got != tt.want {
				t.Errorf("outage %v, want %v", got, tt.want)
			}
		})
	}
}

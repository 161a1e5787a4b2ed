package vip

import (
	"errors"
	"testing"
	"time"
)

func TestTimersAreSetShorterWhileTimeIsSlewed(t *testing.T) {
	const d = 3 * time.Second
	for _, tt := range []struct {
		name string
		slew float64
		err  error
		want time.Duration
	}{
		{"not slewed", 0, nil, d},
		{"a crystal corrected for good", -500e-6, nil, d},
		{"a slew that has begun may become as fast as any", -501e-6, nil, 2748 * time.Millisecond},
		{"either direction may turn", 0.08, nil, 2748 * time.Millisecond},
		{"faster than chrony's limit", -0.1, nil, 2700 * time.Millisecond},
		{"unknown is not nothing", 0, errors.New("not permitted"), 2748 * time.Millisecond},
	} {
		if got := shorten(d, tt.slew, tt.err); (got - tt.want).Abs() > time.Microsecond {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

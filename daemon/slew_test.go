package daemon

import (
	"math"
	"testing"
)

func TestSlew(t *testing.T) {
	for _, tt := range []struct {
		name                         string
		tick, freq, offset, constant int64
		status                       int32
		ppm                          float64
	}{
		{"nothing", 10_000, 0, 0, 7, 0, 0},
		{"a crystal that is 20 ppm off", 10_000, 20 << 16, 0, 7, 0, 20},
		{"chrony slews as fast as it may", 9_167, -20 << 16, 0, 7, 0, -83_320},
		{"an offset that nothing works off", 10_000, 0, 400_000, 2, 0, 0},
		{"the loop works 0.1 s off, in microseconds", 10_000, 0, 100_000, 6, statusPLL, 390.625},
		{"the loop works 0.4 s off, in nanoseconds, the other way", 10_000, 0, -400_000_000, 2, statusPLL | statusNano, -25_000},
	} {
		if got := slewOf(tt.tick, tt.freq, tt.offset, tt.constant, tt.status) * 1e6; math.Abs(got-tt.ppm) > 0.01 {
			t.Errorf("%s: %v ppm, want %v", tt.name, got, tt.ppm)
		}
	}
}

func TestSlewOfThisMachine(t *testing.T) {
	if slew, err := Slew(); err != nil || math.Abs(slew) > 0.11 { // the kernel allows ticks of 9,000 to 11,000
		t.Errorf("%v, %v", slew, err)
	}
}

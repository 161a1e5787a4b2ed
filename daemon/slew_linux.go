package daemon

import "golang.org/x/sys/unix"

// Slew is how far the rate of the kernel's own time, by which its timers run, is from that of its
// raw clock now, as a fraction: 0.01 is 1 %, in either direction. See adjtimex(2).
func Slew() (float64, error) {
	var t unix.Timex // Modes is 0: nothing is set
	if _, err := unix.Adjtimex(&t); err != nil {
		return 0, err
	}
	return slewOf(int64(t.Tick), int64(t.Freq), int64(t.Offset), int64(t.Constant), t.Status), nil
}

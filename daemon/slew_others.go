//go:build !linux

package daemon

// Slew is not known: see the Linux one.
func Slew() (float64, error) { return 0, nil }

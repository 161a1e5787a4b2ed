//go:build !linux

package daemon

import "time"

var begun = time.Now()

// Clock is a monotonic clock, good enough to build and test on; the daemon itself needs Linux.
func Clock() time.Duration { return time.Since(begun) }

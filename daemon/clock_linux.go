package daemon

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is MONOTONIC_RAW + (BOOTTIME - MONOTONIC): the raw rate of the hardware, which no time
// daemon slews, plus exactly the time that the machine was suspended. Go's own clock and timers do
// neither, so the loop reads this one at every decision. See clock_gettime(2).
func Clock() time.Duration {
	return read(unix.CLOCK_MONOTONIC_RAW) + read(unix.CLOCK_BOOTTIME) - read(unix.CLOCK_MONOTONIC)
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(fmt.Sprintf("daemon: clock %d: %v", id, err)) // every supported kernel has them
	}
	return time.Duration(ts.Nano())
}

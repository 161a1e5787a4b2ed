package sim

import "time"

// Clock is a node's clock: true time, off by an amount and running at a rate of its own.
type Clock struct {
	offset time.Duration
	ppm    int64 // parts per million by which it runs fast; negative: slow
}

const million = 1_000_000

// At is what the clock reads at a true instant.
func (c Clock) At(t time.Duration) time.Duration {
	return c.offset + t + t*time.Duration(c.ppm)/million
}

// When is the first true instant at which the clock reads no less than r.
func (c Clock) When(r time.Duration) time.Duration {
	t := (r - c.offset) / time.Duration(million+c.ppm) * million
	t += ((r-c.offset)%time.Duration(million+c.ppm)*million + time.Duration(million+c.ppm) - 1) / time.Duration(million+c.ppm)
	for t > 0 && c.At(t-1) >= r {
		t--
	}
	for c.At(t) < r {
		t++
	}
	return t
}

package daemon

import "math"

// nominalTick is the length of a tick in microseconds on which nothing is slewed: USER_HZ is 100.
const nominalTick = 10_000

// Bits of adjtimex(2): the unit of the offset, and the phase-locked loop that works it off.
const (
	statusPLL  = 0x0001
	statusNano = 0x2000
	shiftPLL   = 2 // of include/linux/timex.h
)

// slewOf is the rate at which what adjtimex(2) tells moves the kernel's time away from its raw
// clock: the tick, the frequency in 2^-16 ppm, and what is left of an offset, of which the loop
// works off so much in a second (second_overflow in kernel/time/ntp.c).
func slewOf(tick, freq, offset, constant int64, status int32) float64 {
	rate := float64(tick-nominalTick)/nominalTick + float64(freq)/(1<<16)/1e6
	if status&statusPLL == 0 || offset == 0 {
		return rate
	}
	unit := 1e-6
	if status&statusNano != 0 {
		unit = 1e-9
	}
	return rate + math.Copysign(math.Abs(float64(offset))*unit/math.Exp2(shiftPLL+float64(constant)), float64(offset))
}

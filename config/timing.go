package config

import (
	"fmt"
	"time"
)

// Timing is the protocol's times, which all follow from the ledger's ttl and margin.
type Timing struct {
	TTL       time.Duration // how long a beat's grant lasts, from before it was sent
	Margin    time.Duration // the addresses are down this long before the grant ends
	Beat      time.Duration // between two renewals
	Heartbeat time.Duration // of the ledger's leader; an election takes at most four
	Takeover  time.Duration // how long a challenger watches a holder stand still
}

const (
	longestTTL      = time.Minute
	shortHeartbeat  = 50 * time.Millisecond // and the step between heartbeats
	longHeartbeat   = 500 * time.Millisecond
	usualMargin     = 250 * time.Millisecond // the heartbeat leaves room for a margin of this
	electionTakes   = 4                      // heartbeats, at worst
	clockRatesApart = 1                      // per cent, at most, between two machines
)

// defaultMargin covers how late the kernel's dead-man may be, and the reading of clocks.
func defaultMargin(ttl time.Duration) time.Duration {
	return (50*time.Millisecond + ttl/60).Round(time.Millisecond)
}

// timingOf works the times out. The heartbeat follows from the ttl alone, as the ledger derives
// it: the longest of which an election still fits between a beat that just missed the old leader
// and the addresses' end.
func timingOf(ttl, margin time.Duration) Timing {
	t := Timing{TTL: ttl, Margin: margin, Beat: ttl / 4, Takeover: ttl + ttl*clockRatesApart/100 + margin}
	fits := (t.TTL - t.Beat - usualMargin) / electionTakes
	t.Heartbeat = min(fits.Truncate(shortHeartbeat), longHeartbeat)
	return t
}

// Slack is what is left of a lease, less the margin, when a beat is due: the time that an
// election, or a demote hook, may take and the addresses need not go.
func (t Timing) Slack() time.Duration { return t.TTL - t.Beat - t.Margin }

// ttlFor is the shortest ttl, in tenths of a second, that leaves a slack with the default margin.
func ttlFor(slack time.Duration) time.Duration {
	ttl := 600 * time.Millisecond
	for timingOf(ttl, defaultMargin(ttl)).Slack() < slack {
		ttl += 100 * time.Millisecond
	}
	return ttl
}

// checkTiming completes the ledger's times and refuses those in which an election alone could
// cost a lease.
func (d *document) checkTiming(c *Config) {
	l := &c.Ledger
	if l.Margin == 0 {
		l.Margin = defaultMargin(l.TTL)
	}
	c.Timing = timingOf(l.TTL, l.Margin)
	t, election := c.Timing, electionTakes*c.Timing.Heartbeat
	if t.Slack() >= election {
		return
	}
	d.wrong("ledger.margin", fmt.Sprintf(
		"unsafe timing: ttl %v - beat %v - margin %v leaves %v, less than an election takes, %v (%d heartbeats of %v)",
		t.TTL, t.Beat, t.Margin, t.Slack(), election, electionTakes, t.Heartbeat),
		fmt.Sprintf("write a margin of at most %v, or a longer ttl", t.TTL-t.Beat-election))
}

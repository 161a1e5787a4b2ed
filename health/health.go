// Package health watches whether a node is fit to hold a group: each check asks one question again and again,
// and tells when the answer has changed.
//
// It owns the probes (script, tcp, http, tls, mysql, interface, file, process), the loop that runs one, and the
// rule of rise, fall and weight ([Tracker], [Sum]). What a failed check means for the group, the daemon decides:
// it hands over, or says a lower priority. A probe changes nothing on the machine but what its own program changes.
package health

import (
	"context"
	"fmt"
	"time"
)

// Probe asks once. Nil means good; the error says what is wrong, and never holds a secret.
type Probe interface {
	Probe(ctx context.Context) error
}

// Counter is a [Probe] that finds a number, too: with a weight, the weight counts so many times.
type Counter interface {
	Probe
	Count(ctx context.Context) (int, error)
}

// Options are how often a check asks, and what its answers are worth.
type Options struct {
	Name     string
	Interval time.Duration // from one question to the next
	Timeout  time.Duration // for an answer; none in time is a bad one
	Rise     int           // so many good answers in a row make it good
	Fall     int           // so many bad ones in a row make it bad
	Weight   int           // 0: a bad check is a fault. Else: what it does to the priority, see [Sum]
}

// Check is a probe at work.
type Check struct {
	o     Options
	probe Probe
}

// New is a check that [Check.Run] runs.
func New(o Options, p Probe) (*Check, error) {
	if o.Interval <= 0 || o.Timeout <= 0 || o.Rise < 1 || o.Fall < 1 {
		return nil, fmt.Errorf("check %s: interval %v, timeout %v, rise %d and fall %d must all be more than zero", o.Name, o.Interval, o.Timeout, o.Rise, o.Fall)
	}
	return &Check{o: o, probe: p}, nil
}

// Options are those that it was made with.
func (c *Check) Options() Options { return c.o }

// Run asks at once and then at every interval, until ctx ends, and tells the standing after each answer that changed
// something. Questions never overlap: an answer that takes longer than the interval delays the next.
func (c *Check) Run(ctx context.Context, tell func(Standing)) {
	t := NewTracker(c.o)
	every := time.NewTicker(c.o.Interval)
	defer every.Stop()
	for {
		n, err := c.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if s, changed := t.Answer(n, err); changed {
			tell(s)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask is one question, with its time limit.
func (c *Check) ask(ctx context.Context) (int, error) {
	late := fmt.Errorf("no answer within %v", c.o.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, late)
	defer cancel()
	var n int
	var err error
	if counter, counts := c.probe.(Counter); counts && c.o.Weight != 0 {
		n, err = counter.Count(ctx)
	} else {
		err = c.probe.Probe(ctx)
		n = 1
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return n, err
}

package vip

import (
	"testing"
	"time"
)

func TestGuardIsArmedShorterWhileTimeIsSlewed(t *testing.T) {
	s := newStage(t)
	var slew float64
	k := s.kernel(func(o *Options) { o.Slew = func() (float64, error) { return slew, nil } })
	s.bind(k, "db", 5*time.Second)
	if open := s.group(k, "db").Addresses[0].Open; open < 4800*time.Millisecond {
		t.Errorf("not slewed: open for %v", open)
	}
	slew = -0.02
	s.bind(k, "db", 5*time.Second) // an extension
	if open := s.group(k, "db").Addresses[0].Open; open > 5*time.Second*916/1000 || open < 4400*time.Millisecond {
		t.Errorf("slewed: open for %v", open)
	}
}

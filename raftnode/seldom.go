package raftnode

import (
	"sync"
	"time"
)

// seldom lets a repeated event through once per interval, so that a peer that is down for an hour
// doesn't fill the log.
type seldom struct {
	every time.Duration
	mu    sync.Mutex
	last  map[string]time.Time
}

// maxSeldom bounds what is remembered; beyond it everything is forgotten and may be said again.
const maxSeldom = 256

func newSeldom(every time.Duration) *seldom {
	return &seldom{every: every, last: map[string]time.Time{}}
}

func (s *seldom) ok(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if t, seen := s.last[key]; seen && now.Sub(t) < s.every {
		return false
	}
	if len(s.last) >= maxSeldom {
		clear(s.last)
	}
	s.last[key] = now
	return true
}

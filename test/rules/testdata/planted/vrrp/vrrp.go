// Package vrrp is as it should be.
package vrrp

import (
	"net/netip"
	"time"
)

func later(now time.Duration) time.Duration { return now + time.Second }

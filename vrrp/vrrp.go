// Package vrrp is the Virtual Router Redundancy Protocol as values: the packets of VRRPv3 (RFC 9568)
// and VRRPv2 (RFC 3768), and the state machine of RFC 9568 section 6.4.
//
// The machine differs from the RFC in one thing. Where the RFC turns active by itself, this one asks
// ([Want]) and waits until it is told that it may ([Granted]); it stops being active when it is told that
// it no longer is ([Revoked]). In a protected group adverts are signals and nothing more: silence
// and priority 0 start a wish, and no advert, whatever its priority, makes a holder yield. In an
// unprotected group whoever runs the machine grants each wish at once, and what is left is the RFC.
//
// The package owns no socket, no clock and no address. It takes an event and a time and hands back
// actions; package vrrp/conn carries adverts, and others bring addresses up and down.
package vrrp

import (
	"fmt"
	"time"
)

// Version is the protocol's version, which is also the version field of its packets.
type Version uint8

// The versions: RFC 3768 over IPv4, and RFC 9568 over IPv4 and IPv6.
const (
	V2 Version = 2
	V3 Version = 3
)

func (v Version) String() string { return fmt.Sprintf("v%d", uint8(v)) }

// Priorities with a meaning of their own (RFC 9568 section 5.2.4).
const (
	PriorityReleased uint8 = 0   // the active router gives up
	PriorityOwner    uint8 = 255 // the router's own interface has the addresses
)

// Intervals that each version can carry. Version 3 counts centiseconds in 12 bits (RFC 9568 section
// 5.2.7), version 2 seconds in 8 (RFC 3768 section 5.3.7).
const (
	minIntervalV3 = 10 * time.Millisecond
	maxIntervalV3 = 4095 * 10 * time.Millisecond
	minIntervalV2 = time.Second
	maxIntervalV2 = 255 * time.Second
)

// checkInterval refuses an interval that the version's packets can't carry exactly.
func checkInterval(v Version, d time.Duration) error {
	unit, least, most := minIntervalV3, minIntervalV3, maxIntervalV3
	if v == V2 {
		unit, least, most = time.Second, minIntervalV2, maxIntervalV2
	}
	if d < least || d > most || d%unit != 0 {
		return fmt.Errorf("interval %v: VRRP%v carries %v to %v in steps of %v", d, v, least, most, unit)
	}
	return nil
}

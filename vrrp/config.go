package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config says what one virtual router is on this node (RFC 9568 section 6.1).
type Config struct {
	VRID     uint8         // 1 to 255
	Priority uint8         // 1 to 255; 255 is the owner's
	Interval time.Duration // between our adverts; zero: 1 s
	Version  Version       // zero: version 3
	Auth     Auth          // version 2 only: adverts with another password are discarded
	Checksum Checksum      // the dialect of what we send in version 3 over IPv4

	Address   netip.Addr   // our primary address on the link, which breaks ties
	Addresses []netip.Addr // of the virtual router, as they go into adverts

	// Protected: adverts are signals; a ledger says who is active. No advert makes a holder yield,
	// priority 0 is a wish at once (the skew that keeps routers from asking together has no use where
	// a ledger decides), and Preempt is not looked at: a protected group is moved by a switchover.
	Protected bool

	Preempt          bool          // take over from an active router of lower priority
	PreemptDelay     time.Duration // how long one of lower priority is let be, from its first advert
	DownTimerAdverts int           // intervals of silence before the active router counts as down; zero: 3
}

const (
	defaultInterval   = time.Second // RFC 9568 section 6.1: 100 centiseconds
	defaultDownAdvert = 3           // RFC 9568 section 6.1: Active_Down_Interval
)

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Version == 0 {
		c.Version = V3
	}
	if c.DownTimerAdverts == 0 {
		c.DownTimerAdverts = defaultDownAdvert
	}
	return c
}

// Check lists everything that is wrong with a Config, or is nil.
func (c Config) Check() error {
	c = c.withDefaults()
	var wrong []error
	if err := (Advert{
		Version: c.Version, VRID: c.VRID, Priority: c.Priority, Interval: c.Interval,
		Addresses: c.Addresses, Auth: c.Auth, Checksum: c.Checksum,
	}).check(); err != nil {
		wrong = append(wrong, err)
	}
	if c.Priority == PriorityReleased {
		wrong = append(wrong, errors.New("priority 0 says that a router gives up: 1 to 254 are allowed, and 255 for the owner of the addresses"))
	}
	if !c.Address.IsValid() {
		wrong = append(wrong, errors.New("no primary address: ties between equal priorities are broken by it"))
	} else if len(c.Addresses) > 0 && c.Address.Is6() != c.Addresses[0].Is6() {
		wrong = append(wrong, fmt.Errorf("primary address %v is of another family than %v", c.Address, c.Addresses[0]))
	}
	if c.DownTimerAdverts < 1 || c.DownTimerAdverts > 100 {
		wrong = append(wrong, fmt.Errorf("down after %d adverts: 1 to 100 are allowed", c.DownTimerAdverts))
	}
	if c.PreemptDelay < 0 {
		wrong = append(wrong, fmt.Errorf("preempt delay %v is negative", c.PreemptDelay))
	}
	return errors.Join(wrong...)
}

package config

import "time"

// Timing is the protocol's times, which all follow from the ledger's ttl and margin.
type Timing struct {
	TTL       time.Duration // how long a beat's grant lasts, from before it was sent
	Margin    time.Duration // the addresses are down this long before the grant ends
	Beat      time.Duration // between two renewals
	Heartbeat time.Duration // of the ledger's leader; an election takes at most four
	Takeover  time.Duration // how long a challenger watches a holder stand still
}

package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/solevip/solevip/cert"
)

// Options are what a node needs to have its ledger with arbiters.
type Options struct {
	Cluster, Node string   // as the certificate has them
	Arbiters      []string // host:port of each
	TLS           *cert.TLS
	TTL           time.Duration
	// Dir keeps which ledger this node has been part of.
	Dir string
	Log *slog.Logger

	// Dial replaces the network, for tests. Nil means TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// check reports every mistake at once.
func (o *Options) check() error {
	var bad []error
	add := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if len(o.Arbiters) == 0 {
		add("no arbiter is listed")
	}
	for i, a := range o.Arbiters {
		if _, _, err := net.SplitHostPort(a); err != nil {
			add("arbiter %q is not host:port", a)
		}
		if slices.Contains(o.Arbiters[:i], a) {
			add("arbiter %s is listed twice", a)
		}
	}
	switch {
	case o.TLS == nil:
		add("no certificate is given: whoever runs the arbiters makes one with solevip cert issue --cluster %s %s", o.Cluster, o.Node)
	case o.TLS.Guest() != cert.Guest{Cluster: o.Cluster, Node: o.Node}:
		add("the certificate is for %v, and this is %v", o.TLS.Guest(), cert.Guest{Cluster: o.Cluster, Node: o.Node})
	}
	if o.Dir == "" {
		add("no state directory is given")
	}
	if o.TTL <= 0 {
		add("ttl %v is not a time", o.TTL)
	}
	if len(bad) > 0 {
		return fmt.Errorf("ledger of node %s with remote arbiters: %w", o.Node, errors.Join(bad...))
	}
	o.Arbiters = slices.Clone(o.Arbiters)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	return nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}}
	return d.DialContext(ctx, "tcp", address)
}

// An election takes up to so many heartbeats, and must fit between a beat that just missed the
// former leader and the addresses' end; see raftnode. The heartbeat is the arbiters'.
const (
	electionTakes = 4
	timingMargin  = 250 * time.Millisecond
)

// tooSlow says that an election of the arbiters may cost a lease of this ttl.
func tooSlow(ttl, heartbeat time.Duration) string {
	if room := ttl - ttl/4 - timingMargin; room < electionTakes*heartbeat {
		return fmt.Sprintf("an election of the arbiters takes up to %v (%d heartbeats of %v), and a lease of this cluster has %v left for it: give the arbiters a ledger.ttl of %v or less, or this cluster a longer one",
			electionTakes*heartbeat, electionTakes, heartbeat, max(room, 0).Round(time.Millisecond), ttl)
	}
	return ""
}

// Errors of proposals, as every ledger has them.
var (
	// ErrNotProposed says that a proposal certainly had no effect: no leader took it.
	ErrNotProposed = errors.New("not proposed")
	// ErrNotYou says that a node proposed in another node's name.
	ErrNotYou = errors.New("a node may only beat, take and release as itself")
	// ErrOtherLedger says that the arbiters keep another ledger than the one this node was part of.
	ErrOtherLedger = errors.New("the arbiters keep another ledger than before")
)

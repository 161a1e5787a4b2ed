package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/solevip/solevip/cert"
)

// Peer is a node of the cluster as its file lists it.
type Peer struct {
	Name    string
	Address string // host:port
	Arbiter bool   // votes, never holds
}

// Options are what a node needs to take part. Peers lists every node, this one included, and is
// the same everywhere.
type Options struct {
	Self    string
	Cluster string
	Peers   []Peer
	Dir     string // the state directory; Raft lives in Dir/raft
	Listen  string // host:port; this node's own address among Peers when empty
	TLS     *cert.TLS
	// Insecure must be spelt out to run without TLS: names are then taken on trust.
	Insecure bool
	TTL      time.Duration
	Log      *slog.Logger

	// Listener and Dial replace the network, for clusters in one process. Nil means TCP.
	Listener net.Listener
	Dial     func(ctx context.Context, address string) (net.Conn, error)

	disk func(storage) storage // puts a disk that can be made sick under the watchdog
}

// Timing is what follows from the ttl.
type Timing struct {
	Heartbeat time.Duration // Raft's heartbeat and election time-out
	Lease     time.Duration // after which a leader without a quorum steps down
	Commit    time.Duration // a follower's log learns of a commit this late, were nothing pushed
	Attempt   time.Duration // one try of a proposal at one leader
	Slow      time.Duration // a leader whose write takes this long hands over
	Stall     time.Duration // a write to the log may take this long
}

// The bounds of the timing. An election takes 2.1 heartbeats at the median and 4 at worst, so
// ttl - beat - margin must be at least 4 heartbeats, with beat = ttl/4. timingMargin is what the
// claim rule's margin is assumed to be at most.
const (
	timingMargin = 250 * time.Millisecond
	maxHeartbeat = 500 * time.Millisecond
	minHeartbeat = 50 * time.Millisecond
	stallLimit   = time.Second
)

// TimingFor derives the timing from a ttl: 3 s gives a heartbeat of 500 ms, 1.5 s one of 200 ms.
func TimingFor(ttl time.Duration) (Timing, error) {
	hb := ((ttl - ttl/4 - timingMargin) / 4).Truncate(minHeartbeat)
	if hb < minHeartbeat {
		return Timing{}, fmt.Errorf("ttl %v is too short for the ledger: an election takes up to 4 heartbeats of %v or more, within ttl - ttl/4 - %v: 600ms is the least", ttl, minHeartbeat, timingMargin)
	}
	hb = min(hb, maxHeartbeat)
	return Timing{Heartbeat: hb, Lease: hb / 2, Commit: hb / 10, Attempt: hb, Slow: hb / 2, Stall: stallLimit}, nil
}

// check reports every mistake at once.
func (o *Options) check() error {
	var bad []error
	add := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	names, addresses := map[string]bool{}, map[string]string{}
	for _, p := range o.Peers {
		switch {
		case p.Name == "" || strings.ContainsAny(p.Name, "/ \t\n"):
			add("node name %q: a name is not empty and has no slash or space", p.Name)
		case names[p.Name]:
			add("node %s is listed twice", p.Name)
		}
		names[p.Name] = true
		if _, _, err := net.SplitHostPort(p.Address); err != nil {
			add("node %s: address %q is not host:port", p.Name, p.Address)
		} else if other, taken := addresses[p.Address]; taken {
			add("nodes %s and %s have the same address %s", other, p.Name, p.Address)
		}
		addresses[p.Address] = p.Name
	}
	if !names[o.Self] {
		add("this node %q is not among the nodes %v: give its name with --node", o.Self, nodeNames(o.Peers))
	}
	if o.Cluster == "" {
		add("the cluster has no name")
	}
	if o.Dir == "" {
		add("no state directory is given")
	}
	switch {
	case o.TLS == nil && !o.Insecure:
		add("no certificate is given: make one with solevip cert, or spell out insecure")
	case o.TLS != nil && o.Insecure:
		add("a certificate and insecure exclude each other")
	case o.TLS != nil && o.TLS.Node() != o.Self:
		add("the certificate is for node %q, and this is node %q", o.TLS.Node(), o.Self)
	}
	if _, err := TimingFor(o.TTL); err != nil {
		bad = append(bad, err)
	}
	if len(bad) > 0 {
		return fmt.Errorf("ledger of node %s: %w", o.Self, errors.Join(bad...))
	}
	if o.Listen == "" {
		o.Listen = o.peer(o.Self).Address
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	return nil
}

func (o *Options) peer(name string) Peer {
	i := slices.IndexFunc(o.Peers, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		return Peer{}
	}
	return o.Peers[i]
}

// others are the peers but this node, by name.
func (o *Options) others() []string {
	return slices.DeleteFunc(nodeNames(o.Peers), func(n string) bool { return n == o.Self })
}

// nodeNames are the sorted names: what nodes compare to see that their files agree.
func nodeNames(peers []Peer) []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}

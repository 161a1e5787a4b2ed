package conn

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Reason is why a packet was dropped. The words are the metric's labels.
type Reason string

// The reasons.
const (
	Malformed Reason = "malformed"  // vrrp.Parse refused it, or IP did
	WrongTTL  Reason = "ttl"        // not 255
	OwnSource Reason = "own-source" // from an address of this node
	NotPeer   Reason = "not-peer"   // unicast, from somebody else
	Elsewhere Reason = "elsewhere"  // to another group, or multicast where unicast is configured
)

// Reasons lists them all.
var Reasons = []Reason{Malformed, WrongTTL, OwnSource, NotPeer, Elsewhere}

// drop is one packet that was dropped.
type drop struct {
	reason Reason
	from   netip.Addr
	text   string
}

const (
	logEvery = time.Minute // per reason and source (RFC 9568 section 7.1: rate-limited)
	logKept  = 256         // sources are anybody's to invent: more share one line
)

// drops counts what was dropped and says so, one line per reason and source and minute.
type drops struct {
	log *slog.Logger

	mu     sync.Mutex
	count  map[Reason]uint64
	logged map[drop]time.Time // keys without text
}

func newDrops(log *slog.Logger) *drops {
	return &drops{log: log, count: make(map[Reason]uint64), logged: make(map[drop]time.Time)}
}

func (d *drops) add(x drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count[x.reason]++
	if d.due(drop{reason: x.reason, from: x.from}, time.Now()) {
		level := slog.LevelWarn
		if x.reason == Elsewhere {
			level = slog.LevelDebug // legal traffic of others
		}
		d.log.Log(context.Background(), level, "advert dropped", "from", x.from, "reason", x.reason, "detail", x.text, "dropped", d.count[x.reason])
	}
}

// due reports whether a line may be written for the key, and takes note of it.
func (d *drops) due(key drop, now time.Time) bool {
	if _, known := d.logged[key]; !known && len(d.logged) >= logKept {
		for k, at := range d.logged {
			if now.Sub(at) >= logEvery {
				delete(d.logged, k)
			}
		}
		if len(d.logged) >= logKept {
			key.from = netip.Addr{}
		}
	}
	if at, known := d.logged[key]; known && now.Sub(at) < logEvery {
		return false
	}
	d.logged[key] = now
	return true
}

func (d *drops) counts() map[Reason]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[Reason]uint64, len(Reasons))
	for _, r := range Reasons {
		out[r] = d.count[r]
	}
	return out
}

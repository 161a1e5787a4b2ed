package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

// post is one arbiter, as this node sees it.
type post struct {
	address string
	link    *wire.Link

	mu        sync.Mutex
	name      string        // as its certificate has it, "" before it was reached
	heartbeat time.Duration // of the arbiters' ledger
	beacon    wire.Beacon   // the last that came
	heard     time.Time     // when it came; zero when the connection is lost
	why       string        // it is lost
}

// firstHeartbeat is assumed until an arbiter has told its own: the longest that there is.
const firstHeartbeat = 500 * time.Millisecond

func (p *post) beat() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heartbeat > 0 {
		return p.heartbeat
	}
	return firstHeartbeat
}

// view is a copy of what is known of the arbiter.
type view struct {
	name, why string
	heartbeat time.Duration
	beacon    wire.Beacon
	lit       bool
}

func (p *post) view() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := view{name: p.name, why: p.why, heartbeat: p.heartbeat, beacon: p.beacon}
	silent := time.Since(p.heard)
	v.lit = !p.heard.IsZero() && silent < p.heartbeat
	if !p.heard.IsZero() && !v.lit {
		v.why = fmt.Sprintf("silent for %v", silent.Round(10*time.Millisecond))
	}
	return v
}

// An arbiter that is silent for a heartbeat is asked nothing, but the connection is kept a good while
// longer: where many nodes connect anew because an arbiter is busy, it's busy with that. For the same
// reason they try less and less often.
const (
	leastPatience = 2 * time.Second
	longestPause  = 5 * time.Second
)

// patience is how long a connection may be silent before it's given up.
func (p *post) patience() time.Duration { return max(leastPatience, 4*p.beat()) }

// attend listens to an arbiter until the ledger is closed.
func (l *Ledger) attend(ctx context.Context, p *post) {
	b := p.beat() / 2
	for ctx.Err() == nil {
		begun := time.Now()
		err := p.link.Stream(ctx, wire.AskWatch, func(raw json.RawMessage) error { return l.heard(p, raw) })
		p.mu.Lock()
		first := !p.heard.IsZero() || p.why == ""
		p.heard, p.why = time.Time{}, fmt.Sprint(err)
		p.mu.Unlock()
		l.choose()
		if first && ctx.Err() == nil {
			l.o.Log.Info("arbiter lost", "address", p.address, "err", err)
		}
		if time.Since(begun) > 2*longestPause {
			b = p.beat() / 2
		}
		pause(ctx, nil, b/2+rand.N(b/2)) // not all nodes of all clusters at once
		b = min(2*b, longestPause)
	}
}

// heard takes a beacon.
func (l *Ledger) heard(p *post, raw json.RawMessage) error {
	var b wire.Beacon
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	if b.Ledger == "" {
		return errors.New("it is part of no ledger yet")
	}
	if err := l.sameLedger(b.Ledger); err != nil {
		return err
	}
	if len(b.Record) > 0 {
		var r arbiter.Record
		if err := json.Unmarshal(b.Record, &r); err != nil {
			return err
		}
		l.feed.Agreed(r)
	}
	b.Record = nil
	p.mu.Lock()
	was := p.beacon
	changed := time.Since(p.heard) >= p.heartbeat || was.Leads != b.Leads || was.Leader != b.Leader || was.Term != b.Term
	p.beacon, p.heard, p.why = b, time.Now(), ""
	p.mu.Unlock()
	if changed {
		l.choose()
	}
	return nil
}

// dial opens a stream to an arbiter and proves who is at both ends.
func (l *Ledger) dial(ctx context.Context, p *post) (_ net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, wire.GreetLimit)
	defer cancel()
	raw, err := l.o.Dial(ctx, p.address)
	if err != nil {
		return nil, fmt.Errorf("connect to arbiter %s: %w", p.address, err)
	}
	c := &tracked{raw: raw, ledger: l}
	if !l.track(c) {
		raw.Close()
		return nil, fmt.Errorf("connect to arbiter %s: %w", p.address, net.ErrClosed)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			c.Close()
			err = fmt.Errorf("connect to arbiter %s: %w", p.address, err)
		}
	}()
	tc := tls.Client(raw, l.o.TLS.Client)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	name, err := l.o.TLS.Host(tc.ConnectionState())
	if err != nil {
		return nil, err
	}
	c.Conn = tc
	w, err := l.greet(c)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.heartbeat = name, w.Heartbeat
	return c, nil
}

func (l *Ledger) greet(c net.Conn) (wire.Welcome, error) {
	var w wire.Welcome
	if _, err := c.Write([]byte{wire.KindGuest}); err != nil {
		return w, err
	}
	hello := wire.Greeting{Version: wire.Version, Cluster: l.o.Cluster, From: l.o.Node, Ledger: l.known()}
	if err := wire.Write(c, hello, wire.MaxGreeting); err != nil {
		return w, err
	}
	if err := wire.Read(c, &w, wire.MaxGreeting); err != nil {
		return w, err
	}
	if w.Error != "" {
		return w, fmt.Errorf("refused: %s", w.Error)
	}
	return w, nil
}

// tracked is a connection that the ledger can close. Closing skips TLS's farewell, which could
// block on a dead peer: every message here says its own length.
type tracked struct {
	net.Conn
	raw    net.Conn
	ledger *Ledger
}

func (t *tracked) Close() error {
	t.ledger.mu.Lock()
	delete(t.ledger.conns, t)
	t.ledger.mu.Unlock()
	return t.raw.Close()
}

// pause waits, but not beyond ctx or a wake-up.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

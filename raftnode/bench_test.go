package raftnode

import (
	"context"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// BenchmarkPropose is the latency of a beat in a cluster of three on loopback, with a durable log:
// from the leader and from a follower, in the clear and over TLS.
func BenchmarkPropose(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, follower := range []bool{false, true} {
			name := map[bool]string{false: "plain", true: "tls"}[secure] + map[bool]string{false: "/leader", true: "/follower"}[follower]
			b.Run(name, func(b *testing.B) {
				c := onLoopback(b, secure, "a", "b", "arb")
				c.startAll()
				c.until("the arbiter leading", 30*time.Second, func() bool { return c.leader() == "arb" })
				from := "arb"
				if follower {
					from = "a"
				}
				c.propose(arbiter.Register{Boot: boot(from)})
				for b.Loop() {
					if _, err := c.nodes[from].Propose(context.Background(), arbiter.Beat{Boot: boot(from)}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkPush is how long after a follower's proposal the other follower's watch has it.
func BenchmarkPush(b *testing.B) {
	c := onLoopback(b, false, "a", "b", "arb")
	c.startAll()
	c.until("the arbiter leading", 30*time.Second, func() bool { return c.leader() == "arb" })
	c.propose(arbiter.Register{Boot: boot("a")})
	w := c.nodes["b"].Watch(b.Context())
	for b.Loop() {
		r, err := c.nodes["a"].Propose(context.Background(), arbiter.Beat{Boot: boot("a")})
		if err != nil {
			b.Fatal(err)
		}
		for got := range w {
			if got.Index >= r.Index {
				break
			}
		}
	}
}

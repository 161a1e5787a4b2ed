package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/solevip/solevip/arbiter"
)

var (
	seeds = flag.Uint64("sim.seeds", 400, "how many histories to run per protection")
	from  = flag.Uint64("sim.from", 1, "the first seed")
	trace = flag.Bool("sim.trace", false, "print the whole history of each seed")
)

// TestGuarantees runs many histories and wants every guarantee in all of them.
func TestGuarantees(t *testing.T) {
	for _, protection := range []arbiter.Protection{arbiter.ProtectFence, arbiter.ProtectLease} {
		t.Run(string(protection), func(t *testing.T) {
			var sum Audit
			for seed := *from; seed < *from+*seeds; seed++ {
				w := New(PlanOf(seed, protection), tracer())
				if found := w.Run(); found != "" {
					t.Fatalf("seed %d: %s\nreplay: go test ./test/sim -v -run 'TestGuarantees/%s' -sim.from=%d -sim.seeds=1 -sim.trace\n%s",
						seed, found, protection, seed, history(PlanOf(seed, protection)))
				}
				sum.add(w.audit)
			}
			t.Logf("%d seeds: %d binds, %d takes, %d shots, %d failed fences, %d expired", *seeds, sum.Binds, sum.Takes, sum.Shots, sum.Failed, sum.Expired)
		})
	}
}

func (a *Audit) add(b *Audit) {
	a.Binds, a.Takes, a.Shots = a.Binds+b.Binds, a.Takes+b.Takes, a.Shots+b.Shots
	a.Failed, a.Expired = a.Failed+b.Failed, a.Expired+b.Expired
}

func tracer() func(string) {
	if !*trace {
		return nil
	}
	return func(line string) { fmt.Println(line) }
}

// history is the end of a failed history, without what happens all the time.
func history(p Plan) string {
	var lines []string
	New(p, func(line string) {
		if !strings.Contains(line, ": beat ") && !strings.Contains(line, "-> bind: ") {
			lines = append(lines, line)
		}
	}).Run()
	return strings.Join(lines[max(0, len(lines)-150):], "\n")
}

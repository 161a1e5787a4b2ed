package arbitertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/solevip/solevip/arbiter"
)

// plain is a ledger in memory: arbiter.Apply under a lock. The flaws are what the suite must notice.
type plain struct {
	mu      sync.Mutex
	record  arbiter.Record
	watches []chan arbiter.Record

	staleReads    bool // a read may show the record before the last
	staleRefusals bool // a refusal is judged by a record that may be old
	lost          bool // a command may be acknowledged and forgotten
	past          []arbiter.Record
}

func (p *plain) Propose(_ context.Context, c arbiter.Command) (arbiter.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.staleRefusals {
		if _, err := arbiter.Apply(p.old(5), c); err != nil {
			return p.record, err
		}
	}
	next, err := arbiter.Apply(p.record, c)
	if p.lost && err == nil && rand.IntN(20) == 0 {
		return next, nil
	}
	next.Index = p.record.Index + 1
	p.past, p.record = append(p.past, p.record), next
	for _, w := range p.watches {
		select {
		case <-w:
		default:
		}
		w <- next
	}
	return next, err
}

// old is the record of so many commands ago.
func (p *plain) old(n int) arbiter.Record {
	return append([]arbiter.Record{{}}, p.past...)[max(0, len(p.past)+1-n)]
}

func (p *plain) Read(context.Context) (arbiter.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.staleReads {
		return p.old(1), nil
	}
	return p.record, nil
}

func (p *plain) Watch(ctx context.Context) <-chan arbiter.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := make(chan arbiter.Record, 1)
	if p.record.Index > 0 {
		w <- p.record
	}
	p.watches = append(p.watches, w)
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range p.watches {
			if p.watches[i] == w {
				p.watches = append(p.watches[:i], p.watches[i+1:]...)
				break
			}
		}
		close(w)
	})
	return w
}

func openPlain(_ *testing.T, nodes ...string) map[string]Ledger {
	p, out := &plain{}, map[string]Ledger{}
	for _, n := range nodes {
		out[n] = p
	}
	return out
}

func TestApplyItselfPasses(t *testing.T) { Run(t, openPlain) }

// verdict runs a load on a flawed ledger and judges it.
func verdict(t *testing.T, p *plain) porcupine.CheckResult {
	t.Helper()
	h := &history{began: time.Now()}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, n := range Nodes {
		h.do(ctx, p, n, arbiter.Register{Boot: Boot(n)})
	}
	var wg sync.WaitGroup
	for i, n := range Nodes {
		wg.Go(func() { h.beater(ctx, p, n) })
		wg.Go(func() { h.proposer(ctx, p, n, uint64(i)) })
	}
	wg.Wait()
	return h.judge()
}

func TestTheJudgeSeesWhatCannotHaveHappened(t *testing.T) {
	for name, c := range map[string]struct {
		ledger *plain
		want   porcupine.CheckResult
	}{
		"sound":                       {&plain{}, porcupine.Ok},
		"reads from a lagging member": {&plain{staleReads: true}, porcupine.Illegal},
		"refusals from a cache":       {&plain{staleRefusals: true}, porcupine.Illegal},
		"acknowledged and forgotten":  {&plain{lost: true}, porcupine.Illegal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := verdict(t, c.ledger); got != c.want {
				t.Errorf("judged %s, want %s", got, c.want)
			}
		})
	}
}

// An unknown outcome may have happened at any time after the call, or not at all.
func TestTheJudgeLeavesTheUnknownOpen(t *testing.T) {
	h := &history{}
	reg := arbiter.Register{Boot: Boot("a")}
	h.record("a", reg, output{unknown: true, err: errors.New("lost")}, 0, 1)
	h.record("b", nil, output{record: canon(arbiter.Record{})}, 10*slow, 11*slow)
	if got := h.judge(); got != porcupine.Ok {
		t.Error("not yet carried out: judged impossible")
	}
	after, err := arbiter.Apply(arbiter.Record{}, reg)
	if err != nil {
		t.Fatal(err)
	}
	h.record("b", nil, output{record: canon(after)}, 12*slow, 13*slow)
	if got := h.judge(); got != porcupine.Ok {
		t.Error("carried out late: judged impossible")
	}
	h.record("b", nil, output{record: canon(arbiter.Record{})}, 14*slow, 15*slow)
	if got := h.judge(); got != porcupine.Illegal {
		t.Error("undone again: judged possible")
	}
}

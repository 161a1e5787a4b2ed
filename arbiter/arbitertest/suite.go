package arbitertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// patience is how long one step of the suite may take where no fault is inflicted.
const patience = 15 * time.Second

// Run holds a backend to the suite.
func Run(t *testing.T, open Open) {
	t.Run("a take-over, step by step", func(t *testing.T) { takeOver(t, open(t, Nodes...)) })
	t.Run("random commands", func(t *testing.T) { randomCommands(t, open(t, Nodes...)) })
	t.Run("fences beyond the history", func(t *testing.T) { manyFences(t, open(t, Nodes...)) })
	t.Run("many groups at once", func(t *testing.T) { manyGroups(t, open(t, Nodes...)) })
	t.Run("watch", func(t *testing.T) { watches(t, open(t, Nodes...)) })
	t.Run("one of many takers wins", func(t *testing.T) { takers(t, open(t, Nodes...)) })
	t.Run("beats of all nodes at once", func(t *testing.T) { beats(t, open(t, Nodes...)) })
	t.Run("one after the other", func(t *testing.T) {
		Concurrent(t, open(t, Nodes...), Load{Seed: 1}, func() { time.Sleep(1500 * time.Millisecond) })
	})
}

// twin holds a backend against arbiter.Apply, command by command.
type twin struct {
	t       *testing.T
	ledgers map[string]Ledger
	record  arbiter.Record
}

// propose has the actor's node propose, and compares the outcome.
func (w *twin) propose(c arbiter.Command) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	want, refused := arbiter.Apply(w.record, c)
	got, err := w.ledgers[c.Actor()].Propose(ctx, c)
	if arbiter.RefusedAs(err) != arbiter.RefusedAs(refused) || (err == nil) != (refused == nil) {
		w.t.Fatalf("%v:\n got %v\nwant %v", c, err, refused)
	}
	if d := Diff(want, got); d != "" {
		w.t.Fatalf("%v (%v): the record differs (-Apply +backend):\n%s", c, err, d)
	}
	if Diff(w.record, got) != "" && got.Index <= w.record.Index {
		w.t.Fatalf("%v: index %d after %d", c, got.Index, w.record.Index)
	}
	if got.Index < w.record.Index {
		w.t.Fatalf("%v: index %d after %d", c, got.Index, w.record.Index)
	}
	w.record = got
	return err
}

// must fails the test unless the command is carried out.
func (w *twin) must(c arbiter.Command) {
	w.t.Helper()
	if err := w.propose(c); err != nil {
		w.t.Fatalf("%v: %v", c, err)
	}
}

// refused fails the test unless the command is refused with the code.
func (w *twin) refused(code arbiter.Code, c arbiter.Command) {
	w.t.Helper()
	if err := w.propose(c); arbiter.RefusedAs(err) != code {
		w.t.Fatalf("%v: %v, want it refused as %s", c, err, code)
	}
}

// read compares what every node reads.
func (w *twin) read() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for name, l := range w.ledgers {
		got, err := l.Read(ctx)
		if err != nil {
			w.t.Fatalf("read at %s: %v", name, err)
		}
		if d := Diff(w.record, got); d != "" {
			w.t.Errorf("%s reads another record (-Apply +backend):\n%s", name, d)
		}
	}
}

func newTwin(t *testing.T, ledgers map[string]Ledger) *twin {
	return &twin{t: t, ledgers: ledgers}
}

// takeOver is the life of a group with a fence.
func takeOver(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	a, b, c := Boot("a"), Boot("b"), Boot("c")
	w.refused(arbiter.Unregistered, arbiter.Beat{Boot: a})
	for _, boot := range []arbiter.Boot{a, b, c} {
		w.must(arbiter.Register{Boot: boot})
	}
	w.must(arbiter.Take{Group: "mysql", Boot: a, Protection: arbiter.ProtectFence})
	w.refused(arbiter.Stale, arbiter.Take{Group: "mysql", Boot: b, Protection: arbiter.ProtectFence})
	seen := arbiter.See(w.record, "mysql")
	w.must(arbiter.Beat{Boot: a})
	w.refused(arbiter.Stale, arbiter.Take{Group: "mysql", Boot: b, Protection: arbiter.ProtectFence, Seen: seen})
	w.must(arbiter.Take{Group: "mysql", Boot: b, Protection: arbiter.ProtectFence, Seen: arbiter.See(w.record, "mysql")})
	w.refused(arbiter.NotYours, arbiter.Clear{Group: "mysql", Boot: b, Epoch: 2, Suspect: a, Evidence: arbiter.PowerOffVerified})
	w.refused(arbiter.Unacceptable, arbiter.Clear{Group: "mysql", Boot: b, Epoch: 2, Suspect: a, Evidence: arbiter.Expired})
	w.must(arbiter.Intent{Group: "mysql", Boot: b, Epoch: 2, Suspect: a})
	w.must(arbiter.Report{Boot: b, Target: a, Method: "ipmi", Outcome: "unknown"})
	w.must(arbiter.Intent{Group: "mysql", Boot: b, Epoch: 2, Suspect: a})
	w.must(arbiter.Clear{Group: "mysql", Boot: b, Epoch: 2, Suspect: a, Evidence: arbiter.PowerOffVerified, Method: "ipmi"})
	w.refused(arbiter.FencedBoot, arbiter.Beat{Boot: a})
	again := arbiter.Boot{Node: "a", Kernel: "kernel-1-a", Incarnation: "incarnation-1-a"}
	w.must(arbiter.Register{Boot: again, Seen: w.record.Nodes["a"].Beat})
	w.must(arbiter.Move{Node: "c", Group: "mysql", Epoch: 2, To: "a"})
	w.must(arbiter.Release{Group: "mysql", Boot: b, Epoch: 2})
	w.must(arbiter.Take{Group: "mysql", Boot: again, Protection: arbiter.ProtectFence, Seen: arbiter.See(w.record, "mysql")})
	w.must(arbiter.Release{Group: "mysql", Boot: again, Epoch: 3, Dirty: true})
	w.must(arbiter.Attest{Node: "c", Target: again, Seen: w.record.Nodes["a"].Beat, Operator: "ops", Reason: "unplugged it"})
	w.read()
}

// randomCommands is a long life with every command, right and wrong.
func randomCommands(t *testing.T, ledgers map[string]Ledger) {
	const seed, steps = 7, 600
	w, cs := newTwin(t, ledgers), NewCommands(seed)
	did := map[string]int{}
	for range steps {
		c := cs.Next(w.record)
		err := w.propose(c)
		did[fmt.Sprintf("%T %s", c, arbiter.RefusedAs(err))]++
	}
	w.read()
	for _, kind := range []string{"Register", "Beat", "Take", "Release", "Clear", "Intent", "Report", "Attest", "Move", "Identify", "Order", "Unfence", "Maintain"} {
		if did["arbiter."+kind+" "] == 0 {
			t.Errorf("seed %d carried out no %s: %v", seed, kind, did)
		}
	}
}

// manyFences goes beyond what the ledger keeps of finished fences.
func manyFences(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	a, b := Boot("a"), Boot("b")
	w.must(arbiter.Register{Boot: a})
	w.must(arbiter.Register{Boot: b})
	w.must(arbiter.Take{Group: "nfs", Boot: a, Protection: arbiter.ProtectFence})
	w.must(arbiter.Take{Group: "nfs", Boot: b, Protection: arbiter.ProtectFence, Seen: arbiter.See(w.record, "nfs")})
	for i := range 70 {
		w.must(arbiter.Intent{Group: "nfs", Boot: b, Epoch: 2, Suspect: a, At: int64(i)})
		w.must(arbiter.Report{Boot: b, Target: a, Outcome: "unknown", At: int64(i)})
	}
	if n := len(w.record.Fences); n != 64 {
		t.Errorf("%d fences are kept, want 64", n)
	}
	w.read()
}

// manyGroups declares a boot dead that holds more groups than a transaction of etcd has operations.
func manyGroups(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	a, b := Boot("a"), Boot("b")
	w.must(arbiter.Register{Boot: a})
	w.must(arbiter.Register{Boot: b})
	const groups = 150
	for i := range groups {
		w.must(arbiter.Take{Group: fmt.Sprintf("group-%03d", i), Boot: a, Protection: arbiter.ProtectLease})
	}
	w.must(arbiter.Attest{Node: "b", Target: a, Seen: w.record.Nodes["a"].Beat, Operator: "ops", Reason: "unplugged it"})
	for name, g := range w.record.Groups {
		if !g.Holder.IsZero() || g.Evidence != arbiter.OperatorAttested {
			t.Errorf("%s: %+v", name, g)
		}
	}
	w.read()
}

// watches checks that watchers learn the newest, never something older, and let go.
func watches(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	reached := make(chan string, len(ledgers))
	const beats = 40
	for name, l := range ledgers {
		watch := l.Watch(ctx)
		wg.Go(func() {
			var last arbiter.Record
			for n := 0; ; n++ {
				r, open := <-watch
				if !open {
					return
				}
				if n > 0 && r.Index <= last.Index {
					t.Errorf("%s watched index %d after %d", name, r.Index, last.Index)
				}
				if r.Nodes["a"].Beat < last.Nodes["a"].Beat {
					t.Errorf("%s watched beat %d after %d", name, r.Nodes["a"].Beat, last.Nodes["a"].Beat)
				}
				if last = r; r.Nodes["a"].Beat == beats+1 {
					reached <- name
				}
			}
		})
	}
	slow := ledgers["b"].Watch(ctx) // not read until the end
	w.must(arbiter.Register{Boot: Boot("a")})
	for range beats {
		w.must(arbiter.Beat{Boot: Boot("a")})
	}
	limit := time.After(patience)
	for range ledgers {
		select {
		case <-reached:
		case <-limit:
			t.Fatal("not every watcher learned of the last beat")
		}
	}
	if r := <-slow; r.Nodes["a"].Beat != beats+1 {
		t.Errorf("a slow reader gets beat %d first, want the newest, %d", r.Nodes["a"].Beat, beats+1)
	}
	late := ledgers["c"].Watch(ctx)
	if r := <-late; r.Nodes["a"].Beat != beats+1 {
		t.Errorf("a late watcher gets beat %d, want %d", r.Nodes["a"].Beat, beats+1)
	}
	cancel()
	wg.Wait() // every channel is closed
}

// takers race for one group, again and again.
func takers(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	for _, n := range Nodes {
		w.must(arbiter.Register{Boot: Boot(n)})
	}
	for round := range 10 {
		sight := arbiter.See(w.record, "mysql")
		codes := race(t, ledgers, func(node string) arbiter.Command {
			return arbiter.Take{Group: "mysql", Boot: Boot(node), Protection: arbiter.ProtectLease, Seen: sight}
		})
		winner := ""
		for node, code := range codes {
			switch {
			case code == "" && winner != "":
				t.Fatalf("round %d: both %s and %s won", round, winner, node)
			case code == "":
				winner = node
			case code != arbiter.Stale:
				t.Fatalf("round %d: %s was refused as %s", round, node, code)
			}
		}
		if winner == "" {
			t.Fatalf("round %d: nobody won: %v", round, codes)
		}
		var err error
		if w.record, err = ledgers["a"].Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.must(arbiter.Release{Group: "mysql", Boot: Boot(winner), Epoch: w.record.Groups["mysql"].Epoch})
	}
}

// race has every node propose at once.
func race(t *testing.T, ledgers map[string]Ledger, command func(node string) arbiter.Command) map[string]arbiter.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes := map[string]arbiter.Code{}
	for node, l := range ledgers {
		wg.Go(func() {
			_, err := l.Propose(ctx, command(node))
			code := arbiter.RefusedAs(err)
			if err != nil && code == "" {
				t.Errorf("%s: %v", node, err)
			}
			mu.Lock()
			defer mu.Unlock()
			codes[node] = code
		})
	}
	wg.Wait()
	return codes
}

// beats of all nodes at once are all counted.
func beats(t *testing.T, ledgers map[string]Ledger) {
	w := newTwin(t, ledgers)
	for _, n := range Nodes {
		w.must(arbiter.Register{Boot: Boot(n)})
	}
	const rounds = 20
	for range rounds {
		race(t, ledgers, func(node string) arbiter.Command { return arbiter.Beat{Boot: Boot(node)} })
	}
	r, err := ledgers["b"].Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range Nodes {
		if got := r.Nodes[n].Beat; got < rounds+1 {
			t.Errorf("%s beat %d times, and %d are in the ledger", n, rounds, got-1)
		}
	}
}

package arbitertest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/solevip/solevip/arbiter"
)

// Load is what the nodes do at once, and what is asked of it.
type Load struct {
	Seed uint64
	// TTL, when set, is what beats must keep up with: no node's grant, counted from before each beat
	// was sent, may run out. Zero asks for nothing.
	TTL time.Duration
	// Repeats says that a slow beat may be carried out more than once, which is as good as once.
	Repeats bool
	// NotProposed is the backend's error for what certainly had no effect.
	NotProposed error
}

// The pace of the load: fast enough to meet every fault, slow enough for porcupine to decide.
const (
	beatEvery    = 120 * time.Millisecond
	commandEvery = 70 * time.Millisecond
	opLimit      = 4 * time.Second
	judgeLimit   = 60 * time.Second
	// Slow beats and registrations may have been sent again after an answer was lost. That takes as long
	// as an election, or as an attempt that goes unanswered.
	slow     = 150 * time.Millisecond
	maxAgain = 2
)

// Concurrent has every node beat, read and propose on its own, while disturb runs, and judges what
// was seen: could it have happened one after the other?
func Concurrent(t *testing.T, ledgers map[string]Ledger, load Load, disturb func()) {
	t.Helper()
	h := &history{began: time.Now(), notProposed: load.NotProposed, repeats: load.Repeats}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newTwin(t, ledgers)
	for _, n := range Nodes {
		h.do(ctx, w.ledgers[n], n, arbiter.Register{Boot: Boot(n)})
	}
	var wg sync.WaitGroup
	for i, n := range Nodes {
		wg.Go(func() { h.beater(ctx, ledgers[n], n) })
		wg.Go(func() { h.proposer(ctx, ledgers[n], n, load.Seed+uint64(i)) })
	}
	disturb()
	cancel()
	wg.Wait()
	h.check(t)
	if load.TTL > 0 {
		h.grants(t, load.TTL)
	}
}

// input of an operation: a command, or a read when it is nil.
type input struct {
	node    string
	command arbiter.Command
	maybe   bool // it may have been carried out at some instant in between, or not
	end     bool // nothing: only commands of unknown outcome come later
}

// output of an operation.
type output struct {
	unknown bool
	code    arbiter.Code // of a refusal; "" when it was carried out
	record  string       // what was read
	err     error
}

// history is what the nodes did and saw.
type history struct {
	began       time.Time
	notProposed error
	repeats     bool
	mu          sync.Mutex
	ops         []porcupine.Operation
	denied      []porcupine.Operation // without effect, as the backend says
	beats       map[string][]granted
}

// granted is a beat that was acknowledged.
type granted struct{ sent, known time.Duration }

// client numbers are for porcupine's picture only.
var clientOf = map[string]int{"a": 0, "b": 2, "c": 4}

// do makes one operation and records it.
func (h *history) do(ctx context.Context, l Ledger, node string, c arbiter.Command) (arbiter.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	call := time.Since(h.began)
	var r arbiter.Record
	var err error
	if c == nil {
		r, err = l.Read(ctx)
	} else {
		r, err = l.Propose(ctx, c)
	}
	back := time.Since(h.began)
	out := output{err: err}
	switch code := arbiter.RefusedAs(err); {
	case code != "":
		out.code = code
	case err != nil:
		out.unknown = true
	case c == nil:
		out.record = canon(r)
	}
	h.record(node, c, out, call, back)
	return r, err
}

func (h *history) record(node string, c arbiter.Command, out output, call, back time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op := porcupine.Operation{ClientId: clientOf[node], Input: input{node: node, command: c}, Call: int64(call), Output: out, Return: int64(back)}
	_, beat := c.(arbiter.Beat)
	switch _, registration := c.(arbiter.Register); {
	case out.unknown && c == nil:
		return // a read without an answer says nothing
	case h.notProposed != nil && errors.Is(out.err, h.notProposed):
		h.denied = append(h.denied, op)
		return // nor does what certainly had no effect
	case out.unknown:
		op.Return = math.MaxInt64 // it may be carried out any time from now on
	case h.repeats && (beat || registration) && back-call > slow:
		again := op
		again.ClientId, again.Input, again.Output = op.ClientId+1, input{node: node, command: c, maybe: true}, output{}
		for range maxAgain {
			h.ops = append(h.ops, again)
		}
	}
	h.ops = append(h.ops, op)
	if beat && out.err == nil {
		if h.beats == nil {
			h.beats = map[string][]granted{}
		}
		h.beats[node] = append(h.beats[node], granted{call, back})
	}
}

// beater beats as a daemon does, and registers again when it was declared dead or replaced.
func (h *history) beater(ctx context.Context, l Ledger, node string) {
	boot := Boot(node)
	for life := 1; ctx.Err() == nil; {
		r, err := h.do(ctx, l, node, arbiter.Beat{Boot: boot})
		if code := arbiter.RefusedAs(err); code == arbiter.Unregistered || code == arbiter.FencedBoot {
			boot = arbiter.Boot{Node: node, Kernel: fmt.Sprintf("kernel-%d-%s", life, node), Incarnation: "incarnation-0-" + node}
			h.do(ctx, l, node, arbiter.Register{Boot: boot, Seen: r.Nodes[node].Beat})
			life++
		}
		sleep(ctx, beatEvery)
	}
}

// proposer makes up commands, on what it read or was last answered.
func (h *history) proposer(ctx context.Context, l Ledger, node string, seed uint64) {
	cs := NewCommands(seed)
	var seen arbiter.Record
	for n := 0; ctx.Err() == nil; n++ {
		var c arbiter.Command
		if n%3 > 0 {
			c = cs.For(node, seen)
		}
		if _, registration := c.(arbiter.Register); registration {
			c = nil // the beater's
		}
		if r, err := h.do(ctx, l, node, c); err == nil || arbiter.RefusedAs(err) != "" {
			seen = r
		}
		sleep(ctx, commandEvery)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// canon is a record as text, without its index; maps are sorted by their keys.
func canon(r arbiter.Record) string {
	r.Index = 0
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain values
	}
	return string(b)
}

// state of the model: a record, and its text to compare by. Commands of unknown outcome that had no
// effect are put after the end, so that porcupine needn't try them everywhere.
type state struct {
	record arbiter.Record
	text   string
	ended  bool
}

// model is the ledger as one thing that does one command after the other.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{text: canon(arbiter.Record{})}} },
	Step: func(was, in, out any) []any { return step(was.(state), in.(input), out.(output)) },
	Equal: func(a, b any) bool {
		return a.(state).text == b.(state).text && a.(state).ended == b.(state).ended
	},
	DescribeOperation: func(in, out any) string {
		i, o := in.(input), out.(output)
		return fmt.Sprintf("%s: %v -> %q unknown=%v", i.node, i.command, o.code, o.unknown)
	},
}).ToModel()

// step is the states that the ledger can be in after an operation with this output; none when it
// can't have had it.
func step(s state, i input, o output) []any {
	switch {
	case i.end:
		s.ended = true
		return []any{s}
	case s.ended && !o.unknown, !s.ended && i.command == nil && o.record != s.text:
		return nil
	case s.ended, i.command == nil:
		return []any{s}
	}
	next, err := arbiter.Apply(s.record, i.command)
	after := state{record: next, text: canon(next)}
	switch {
	case i.maybe && err != nil:
		return []any{s}
	case i.maybe:
		return []any{s, after}
	case arbiter.RefusedAs(err) != o.code: // "" of what was carried out, and of what is unknown
		return nil
	}
	return []any{after}
}

func (h *history) judge() porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, h.complete(), judgeLimit)
}

// complete is the history with the end that the model needs.
func (h *history) complete() []porcupine.Operation {
	end := porcupine.Operation{ClientId: 6, Input: input{end: true}, Call: math.MaxInt64 - 1, Output: output{}, Return: math.MaxInt64}
	return append(h.ops[:len(h.ops):len(h.ops)], end)
}

// explain tells how far a history goes that can't have happened, and what can't come next.
func (h *history) explain() string {
	const around = 12
	_, info := porcupine.CheckOperationsVerbose(model, h.complete(), judgeLimit)
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	var b strings.Builder
	placed := map[string]bool{}
	line := func(op porcupine.Operation) string {
		i, o := op.Input.(input), op.Output.(output)
		return fmt.Sprintf("%v..%v %s: %v maybe=%v -> %q unknown=%v %s", time.Duration(op.Call), time.Duration(op.Return), i.node, i.command, i.maybe, o.code, o.unknown, o.record)
	}
	for n, op := range longest {
		placed[line(op)] = true
		if n >= len(longest)-around {
			fmt.Fprintln(&b, "  ", line(op))
		}
	}
	b.WriteString("and then none of:\n")
	left := slices.DeleteFunc(h.complete(), func(op porcupine.Operation) bool { return placed[line(op)] })
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range left[:min(around, len(left))] {
		fmt.Fprintln(&b, "  ", line(op))
	}
	b.WriteString("these are said to have had no effect:\n")
	for _, op := range h.denied {
		fmt.Fprintln(&b, "  ", line(op), op.Output.(output).err)
	}
	return b.String()
}

func (h *history) check(t *testing.T) {
	t.Helper()
	unknown, refused, reads := 0, 0, 0
	for _, op := range h.ops {
		switch o := op.Output.(output); {
		case o.unknown:
			unknown++
		case o.code != "":
			refused++
		case op.Input.(input).command == nil:
			reads++
		}
	}
	began := time.Now()
	result := h.judge()
	t.Logf("%d operations, %d of them reads, %d refused, %d of unknown outcome; judged in %v: %s", len(h.ops), reads, refused, unknown, time.Since(began).Round(time.Millisecond), result)
	if reads == 0 || refused == 0 {
		t.Errorf("the history says too little")
	}
	switch result {
	case porcupine.Illegal:
		t.Errorf("what the nodes saw can't have happened one after the other:\n%s", h.explain())
	case porcupine.Unknown:
		t.Errorf("not decided within %v: the history has too many open ends", judgeLimit)
	}
}

// grants checks that no node was ever without the right to go on.
func (h *history) grants(t *testing.T, ttl time.Duration) {
	t.Helper()
	for node, beats := range h.beats {
		var worst, at time.Duration
		for i := 1; i < len(beats); i++ {
			if gap := beats[i].known - beats[i-1].sent; gap > worst {
				worst, at = gap, beats[i-1].sent
			}
		}
		t.Logf("%s: %d beats, the next one known at the latest %v after one was sent, at %v", node, len(beats), worst.Round(time.Millisecond), at.Round(time.Millisecond))
		if worst > ttl {
			t.Errorf("%s: a grant of %v ran out: the next beat was known %v after the last was sent", node, ttl, worst)
		}
	}
}

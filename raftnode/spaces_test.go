package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/raftnode/wire"
)

func entry(t *testing.T, index uint64, items ...item) *raft.Log {
	t.Helper()
	b, err := encodeEntry(items...)
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Data: b}
}

func in(space string, c arbiter.Command) item {
	return item{Space: space, Command: arbiter.Encode(c)}
}

func failOn(t *testing.T) func(error) { return func(err error) { t.Errorf("tripped: %v", err) } }

func TestSpacesAreApart(t *testing.T) {
	m := newMachine(wire.OpenFeed(), failOn(t))
	register, beat := arbiter.Register{Boot: boot("db1")}, arbiter.Beat{Boot: boot("db1")}
	m.Apply(entry(t, 5, in("shop", register)))
	m.Apply(entry(t, 6, in("bank", register), in("shop", beat), in("shop", beat)))
	out := m.Apply(entry(t, 7, in("mail", beat), in("shop", beat))).([]outcome)

	for space, want := range map[string]arbiter.Record{
		"shop": {Index: 7, Nodes: map[string]arbiter.Node{"db1": {Boot: boot("db1"), Beat: 4}}},
		"bank": {Index: 6, Nodes: map[string]arbiter.Node{"db1": {Boot: boot("db1"), Beat: 1}}},
		"mail": {Index: 7},
		own:    {},
	} {
		if d := cmp.Diff(want, m.in(space)); d != "" {
			t.Errorf("%q (-want +got):\n%s", space, d)
		}
	}
	if out[0].Refusal == nil || out[0].Refusal.Code != arbiter.Unregistered || out[1].Refusal != nil {
		t.Errorf("outcomes of a batch with one refusal: %+v", out)
	}
}

func TestASnapshotHoldsEverySpace(t *testing.T) {
	m := newMachine(wire.OpenFeed(), failOn(t))
	m.Apply(entry(t, 1, in(own, arbiter.Register{Boot: boot("arb1")}), in("shop", arbiter.Register{Boot: boot("db1")})))
	img, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	sink := &memSink{}
	if err := img.Persist(sink); err != nil {
		t.Fatal(err)
	}
	other := newMachine(wire.OpenFeed(), failOn(t))
	other.Apply(entry(t, 1, in("gone", arbiter.Register{Boot: boot("x")})))
	if err := other.Restore(io.NopCloser(&sink.Buffer)); err != nil {
		t.Fatal(err)
	}
	for _, space := range []string{own, "shop", "gone"} {
		if d := cmp.Diff(m.in(space), other.in(space)); d != "" {
			t.Errorf("%q (-before +after):\n%s", space, d)
		}
	}
}

type memSink struct{ bytes.Buffer }

func (*memSink) Close() error  { return nil }
func (*memSink) ID() string    { return "test" }
func (*memSink) Cancel() error { return nil }

func TestBeatsThatComeTogetherAreOneEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		var wg sync.WaitGroup
		b := &batcher{start: func(f func()) { wg.Go(f) }}
		b.propose = func(ctx context.Context, items []item) ([]outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(items))
			out := make([]outcome, len(items))
			for i, it := range items {
				out[i].Refusal = &arbiter.Refusal{Detail: it.Space}
			}
			return out, nil
		}
		tick := func(n int) {
			for i := range n {
				wg.Go(func() {
					out, err := b.add(t.Context(), item{Space: fmt.Sprint(i)})
					if err != nil || out.Refusal.Detail != fmt.Sprint(i) {
						t.Errorf("%d got the outcome of %v, %v", i, out.Refusal, err)
					}
				})
			}
			wg.Wait()
		}
		tick(200)
		tick(batchMost + 1)
		tick(1)
		if d := cmp.Diff([]int{200, batchMost, 1, 1}, sizes); d != "" {
			t.Errorf("sizes of the entries (-want +got):\n%s", d)
		}
	})
}

func TestWhoWaitsForABatchLearnsWhyItFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		lost := errors.New("lost")
		b := &batcher{start: func(f func()) { wg.Go(f) }, propose: func(ctx context.Context, _ []item) ([]outcome, error) {
			<-ctx.Done() // the last of them gives up
			return nil, lost
		}}
		begun := time.Now()
		for i := range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := b.add(ctx, item{}); err == nil {
					t.Error("no error")
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

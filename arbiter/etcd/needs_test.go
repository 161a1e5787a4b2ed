package etcd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
)

// store is etcd's keys, as far as a view needs them.
type store struct {
	rev  int64
	keys map[string]*mvccpb.KeyValue
}

// write carries a difference out.
func (s *store) write(d difference) {
	s.rev++
	for key, value := range d.puts {
		created := s.rev
		if was, known := s.keys[key]; known {
			created = was.CreateRevision
		}
		s.keys[key] = &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: created, ModRevision: s.rev}
	}
	for _, key := range d.deletes {
		delete(s.keys, key)
	}
}

func (s *store) view(t *testing.T) *view {
	t.Helper()
	var kvs []*mvccpb.KeyValue
	for _, kv := range s.keys {
		kvs = append(kvs, kv)
	}
	v, err := empty(1, 0).merge(changesOf("", kvs), s.rev)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// holds says that the conditions of a transaction which was made of base still hold.
func (n needs) holds(base, now *view) bool {
	for _, k := range n.keys {
		if base.keys[k].mod != now.keys[k].mod {
			return false
		}
	}
	for k, s := range now.keys {
		if n.groups && strings.HasPrefix(k, groupPrefix) && s.mod > base.rev || n.fences && strings.HasPrefix(k, fencePrefix) && s.mod > base.rev {
			return false
		}
	}
	return true
}

// outcome is what a command comes to: what it writes, without the number of a new fence, or why not.
func outcomeOf(v *view, c arbiter.Command) (difference, arbiter.Code) {
	next, err := arbiter.Apply(v.record, c)
	if err != nil {
		return difference{}, arbiter.RefusedAs(err)
	}
	return v.difference(next, "op"), ""
}

// This is what makes the transactions right: as long as the conditions hold, the outcome is the
// same, whatever else other commands have changed in between.
func TestACommandDependsOnNothingButItsNeeds(t *testing.T) {
	const seeds, steps = 60, 150
	same, broken, kinds := 0, 0, map[string]int{}
	for seed := range uint64(seeds) {
		cs := arbitertest.NewCommands(seed)
		s := &store{keys: map[string]*mvccpb.KeyValue{}}
		s.write(difference{puts: map[string]string{metaKey: encode(meta{Schema: schema, ID: "id"})}})
		for range steps {
			base := s.view(t)
			c := cs.Next(base.record)
			want, code := outcomeOf(base, c)
			n := needsOf(base.record, c)
			for range cs.Rand.IntN(4) { // others get in between
				v := s.view(t)
				if next, err := arbiter.Apply(v.record, cs.Next(v.record)); err == nil {
					s.write(v.difference(next, "other"))
				}
			}
			now := s.view(t)
			if !n.holds(base, now) {
				broken++
				continue
			}
			got, gotCode := outcomeOf(now, c)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(difference{})); d != "" || code != gotCode {
				t.Fatalf("seed %d: %v: its conditions %+v hold, but it came to %q, then to %q (-before +after):\n%s", seed, c, n, code, gotCode, d)
			}
			if code == "" && now.rev > base.rev {
				same++
				kinds[kindOf(c)]++
			}
			if code == "" {
				s.write(want)
			}
		}
	}
	t.Logf("%d outcomes stayed, %d conditions were broken: %v", same, broken, kinds)
	for _, kind := range []string{"Register", "Beat", "Take", "Release", "Clear", "Intent", "Report", "Attest", "Move", "Identify"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was carried out with something else in between", kind)
		}
	}
}

func kindOf(c arbiter.Command) string { return strings.TrimPrefix(fmt.Sprintf("%T", c), "arbiter.") }

// A beat must not meet another node's beat, nor anything done to groups.
func TestABeatNeedsItsOwnNodeOnly(t *testing.T) {
	n := needsOf(arbiter.Record{}, arbiter.Beat{Boot: arbitertest.Boot("a")})
	if want := []string{metaKey, "node/a"}; !slices.Equal(n.keys, want) || n.ranges() {
		t.Errorf("a beat needs %+v, want %v", n, want)
	}
}

// A beat is written a few times a second: it must be small, whatever a registration said.
func TestABeatWritesNoFile(t *testing.T) {
	s := &store{keys: map[string]*mvccpb.KeyValue{}}
	s.write(difference{puts: map[string]string{metaKey: encode(meta{Schema: schema, ID: "id"})}})
	a := arbitertest.Boot("a")
	for _, c := range []arbiter.Command{arbiter.Register{Boot: a, Shared: strings.Repeat("ledger.ttl 3s\n", 50)}, arbiter.Beat{Boot: a}} {
		v := s.view(t)
		next, err := arbiter.Apply(v.record, c)
		if err != nil {
			t.Fatal(err)
		}
		d := v.difference(next, "op")
		s.write(d)
		if diff := arbitertest.Diff(next, s.view(t).record); diff != "" {
			t.Errorf("%v (-record +keys):\n%s", c, diff)
		}
		if _, beat := c.(arbiter.Beat); beat && (len(d.puts) != 1 || len(d.puts[nodeKey("a")]) > 300) {
			t.Errorf("a beat writes %v", d.puts)
		}
	}
}

// Whatever commands do to the fences, the keys tell the same story in the same order.
func TestKeysHoldWhatTheRecordHolds(t *testing.T) {
	cs := arbitertest.NewCommands(5)
	cs.Rand = rand.New(rand.NewPCG(5, 5))
	s := &store{keys: map[string]*mvccpb.KeyValue{}}
	s.write(difference{puts: map[string]string{metaKey: encode(meta{Schema: schema, ID: "id"})}})
	v, most := s.view(t), 0
	for range 2800 {
		next, err := arbiter.Apply(v.record, cs.Next(v.record))
		if err != nil {
			continue
		}
		s.write(v.difference(next, "op"))
		v = s.view(t)
		if d := arbitertest.Diff(next, v.record); d != "" {
			t.Fatalf("the keys tell another story (-record +keys):\n%s", d)
		}
		most = max(most, len(next.Fences))
	}
	if most < 64 {
		t.Errorf("at most %d fences: the history was never full", most)
	}
}

// The one dependency that is too rare to be met by chance: an own fence for another group, which
// that group may cease to ask for without a fence being written.
func TestAnIntentNeedsTheGroupOfTheOpenFence(t *testing.T) {
	a, b := arbitertest.Boot("a"), arbitertest.Boot("b")
	s := &store{keys: map[string]*mvccpb.KeyValue{}}
	do := func(c arbiter.Command) {
		t.Helper()
		v := s.view(t)
		next, err := arbiter.Apply(v.record, c)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		s.write(v.difference(next, "op"))
	}
	do(arbiter.Register{Boot: a})
	do(arbiter.Register{Boot: b})
	for _, g := range []string{"mysql", "nfs"} {
		do(arbiter.Take{Group: g, Boot: a, Protection: arbiter.ProtectFence})
		do(arbiter.Take{Group: g, Boot: b, Protection: arbiter.ProtectFence, Seen: arbiter.See(s.view(t).record, g)})
	}
	do(arbiter.Intent{Group: "nfs", Boot: b, Epoch: 2, Suspect: a})
	base := s.view(t)
	c := arbiter.Intent{Group: "mysql", Boot: b, Epoch: 2, Suspect: a}
	if _, code := outcomeOf(base, c); code != arbiter.Busy {
		t.Fatalf("%v: %q, want it busy", c, code)
	}
	do(arbiter.Release{Group: "nfs", Boot: a, Epoch: 2})
	if _, code := outcomeOf(s.view(t), c); code != "" {
		t.Fatalf("%v after the release: %q", c, code)
	}
	if needsOf(base.record, c).holds(base, s.view(t)) {
		t.Error("the conditions hold, and the outcome is another")
	}
}

package arbiter

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARestoredLedgerFreesNothingThatMayBeHeld(t *testing.T) {
	a, b := Boot{Node: "a", Kernel: "k1", Incarnation: "i"}, Boot{Node: "b", Kernel: "k2", Incarnation: "i"}
	backup := Record{
		Index: 40, Nodes: map[string]Node{"a": {Boot: a, Beat: 7}, "b": {Boot: b, Beat: 9}},
		Groups: map[string]Group{
			"held":    {Epoch: 3, Holder: a, Protection: ProtectLease, Evidence: Released, Next: "b"},
			"claimed": {Epoch: 4, Holder: a, Suspect: b, Protection: ProtectFence},
			"free":    {Epoch: 5, Previous: "b", Evidence: Released},
		},
		Fences: []Fence{{Target: b, By: a, State: FenceOpen}, {Target: a, By: b, State: FenceOff}},
	}
	before := cmp.Diff(Record{}, backup)
	got := Restored(backup)
	if cmp.Diff(Record{}, backup) != before {
		t.Error("the backup was changed")
	}
	want := map[string]Group{
		"held":    {Epoch: 3 + 1<<32, Suspect: a, Previous: "a", Protection: ProtectFence},
		"claimed": {Epoch: 4 + 1<<32, Suspect: b, Previous: "a", Protection: ProtectFence},
		"free":    {Epoch: 5 + 1<<32, Suspect: b, Previous: "b", Protection: ProtectFence},
	}
	if diff := cmp.Diff(want, got.Groups); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(backup.Nodes, got.Nodes); diff != "" {
		t.Error(diff)
	}
	if got.Fences[0].State != FenceFailed || got.Fences[1].State != FenceOff {
		t.Errorf("fences %+v", got.Fences)
	}
	// The suspect's own word frees it; expiry doesn't, though it was under lease.
	if _, err := Apply(got, Clear{Group: "held", Boot: b, Epoch: 3 + 1<<32, Suspect: a, Evidence: Expired}); err == nil {
		t.Error("expiry freed a restored group")
	}
	if r, err := Apply(got, Release{Group: "held", Boot: a, Epoch: 3 + 1<<32}); err != nil || !r.Groups["held"].Suspect.IsZero() {
		t.Errorf("%+v, %v", r.Groups["held"], err)
	}
}

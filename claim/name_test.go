package claim_test

import (
	"testing"

	"github.com/solevip/solevip/arbiter"
)

// Two machines with one name: the second looked when the first held nothing, so it had no reason to
// watch. If the first takes a group before the registration arrives, the registration must not bury
// it as a life that is over.
func TestRegistrationIsStaleOnceTheOtherTook(t *testing.T) {
	first := arbiter.Boot{Node: "b", Kernel: "k1", Incarnation: "i1"}
	second := arbiter.Boot{Node: "b", Kernel: "k2", Incarnation: "i2"}
	apply := func(r arbiter.Record, c arbiter.Command) arbiter.Record {
		t.Helper()
		next, err := arbiter.Apply(r, c)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		return next
	}
	r := apply(arbiter.Record{}, arbiter.Register{Boot: first})
	late := arbiter.Register{Boot: second, Seen: r.Nodes["b"].Beat}
	r = apply(r, arbiter.Take{Group: "g", Boot: first, Protection: arbiter.ProtectFence, Seen: arbiter.See(r, "g")})
	after, err := arbiter.Apply(r, late)
	if arbiter.RefusedAs(err) != arbiter.Stale || after.Groups["g"].Holder != first {
		t.Errorf("%v: %v; the holder is %v", late, err, after.Groups["g"].Holder)
	}
}

package arbiter

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever a peer sends: what can be read survives a round trip, and applying it neither panics
// nor does anything without being a command of a registered boot.
func FuzzDecode(f *testing.F) {
	for _, c := range samples() {
		f.Add(Encode(c))
	}
	f.Add([]byte(`{"kind":"beat","body":null}`))
	f.Add([]byte(`{"kind":"take","body":{"seen":{"epoch":18446744073709551615}}}`))
	f.Add([]byte(`{"kind":"register","body":{"boot":{"node":"\ud800","kernel":"k","incarnation":"i"},"seen":0}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Decode(raw)
		if err != nil {
			return
		}
		again, err := Decode(Encode(c))
		if err != nil {
			t.Fatalf("%v can't be read again: %v", c, err)
		}
		if d := cmp.Diff(c, again); d != "" {
			t.Fatalf("%v came back changed:\n%s", c, d)
		}
		r := Record{}
		for _, s := range samples() {
			r, _ = Apply(r, s)
		}
		next, err := Apply(r, c)
		if err != nil && RefusedAs(err) == "" {
			t.Fatalf("%v: %v is no refusal", c, err)
		}
		if broken := promises(r, next, c); broken != "" {
			t.Fatalf("%v: %s:\n%s", c, broken, cmp.Diff(r, next))
		}
	})
}

package arbiter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samples has every kind of command, with every field set.
func samples() []Command {
	a, b := Boot{Node: "a", Kernel: "k1", Incarnation: "i1"}, Boot{Node: "b", Kernel: "k2", Incarnation: "i2"}
	return []Command{
		Register{Boot: a, Seen: 7, Shared: "x", Manual: true},
		Beat{Boot: a},
		Take{Group: "mysql", Boot: a, Protection: ProtectFence, Accept: "new-boot", Seen: Sight{Epoch: 3, Holder: b, Suspect: a, Beat: 9}},
		Release{Group: "mysql", Boot: a, Epoch: 3, Dirty: true},
		Clear{Group: "mysql", Boot: a, Epoch: 3, Suspect: b, Evidence: Expired, Method: "ipmi", Detail: "x", At: 1},
		Intent{Group: "mysql", Boot: a, Epoch: 3, Suspect: b, Rival: Rival{Boot: b, Beat: 2}, At: 1},
		Report{Boot: a, Target: b, Method: "ipmi", Outcome: "unknown", Detail: "no answer", At: 1},
		Attest{Node: "a", Target: b, Seen: 4, Operator: "ann", Reason: "unplugged", At: 1},
		Move{Node: "a", Group: "mysql", Epoch: 3, To: "b"},
		Order{Boot: a, Target: b, Seen: 3, Force: true, Rival: Rival{Boot: b, Beat: 2}, Operator: "ann", Reason: "smoke", At: 1},
		Maintain{Node: "a", On: true, Seen: 3, ForMS: 5, Operator: "ann", Reason: "x", At: 1},
		Unfence{Node: "a", Target: b, Operator: "ann", At: 1},
		Identify{Node: "a", Target: "b", Device: "ipmi 10.1.0.6", Identity: "uuid", Was: "other", Operator: "ann", At: 1},
	}
}

func TestEveryCommandSurvivesTheWire(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range samples() {
		got, err := Decode(Encode(c))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("%v came back changed:\n%s", c, d)
		}
		if got.Actor() != "a" || got.String() == "" {
			t.Errorf("%v acts for %q", got, got.Actor())
		}
		seen[kindOf(c)] = true
	}
	for kind := range kinds {
		if !seen[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
}

func TestAnOlderProgramDoesNotApplyHalfACommand(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"an unknown kind", `{"kind":"teleport","body":{}}`, `unknown kind "teleport"`},
		{"an unknown field", `{"kind":"beat","body":{"boot":{},"urgent":true}}`, "urgent"},
		{"an unknown field beside the body", `{"kind":"beat","body":{"boot":{}},"sig":1}`, "sig"},
		{"two commands", `{"kind":"beat","body":{"boot":{}}}{}`, "trailing"},
		{"a brace too many", `{"kind":"beat","body":{"boot":{}}}}`, "trailing"},
		{"no body", `{"kind":"beat"}`, "EOF"},
		{"a body of another type", `{"kind":"beat","body":[1]}`, "array"},
		{"nothing", ``, "EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := Decode([]byte(row.text))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, %v; want an error with %q", c, err, row.want)
			}
		})
	}
}

package arbiter

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyCommand draws a command that a node could send, sensible or not, given the ledger.
func anyCommand(t *rapid.T, r Record) Command {
	text := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	boot := func(label string) Boot {
		node := text(label, "a", "b", "c")
		if b := r.Nodes[node].Boot; !b.IsZero() && rapid.IntRange(0, 4).Draw(t, label+" known") > 0 {
			return b
		}
		return Boot{Node: node, Kernel: text(label+" kernel", "k1", "k2", "k3"), Incarnation: text(label+" incarnation", "i1", "i2")}
	}
	off := func(label string, n uint64) uint64 {
		return n + uint64(rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, label))
	}
	b := boot("boot")
	group := text("group", "mysql", "nfs")
	g := r.Groups[group]
	suspect := g.Suspect
	if suspect.IsZero() || rapid.IntRange(0, 5).Draw(t, "odd suspect") == 0 {
		suspect = boot("suspect")
	}
	epoch := off("epoch", g.Epoch)
	sight := See(r, group)
	sight.Beat = off("sight", sight.Beat)
	switch text("kind", "register", "beat", "take", "take", "release", "clear", "clear", "intent", "intent", "report", "attest", "move") {
	case "register":
		b.Kernel = text("new kernel", "k1", "k2", "k3", "k4", "k5")
		return Register{Boot: b, Seen: off("seen", r.Nodes[b.Node].Beat)}
	case "beat":
		return Beat{Boot: b}
	case "take":
		return Take{Group: group, Boot: b, Protection: Protection(text("protection", "fence", "lease", "vrrp")), Accept: Accept(text("accept", "", "new-boot,power-off-verified,released", "released")), Seen: sight}
	case "release":
		return Release{Group: group, Boot: b, Epoch: epoch, Dirty: rapid.Bool().Draw(t, "dirty")}
	case "clear":
		evidence := Evidence(text("evidence", string(PowerOffVerified), string(Expired), string(Released), string(NewBoot)))
		return Clear{Group: group, Boot: b, Epoch: epoch, Suspect: suspect, Evidence: evidence}
	case "intent":
		return Intent{Group: group, Boot: b, Epoch: epoch, Suspect: suspect}
	case "report":
		return Report{Boot: b, Target: suspect, Outcome: text("outcome", "not-off", "unknown", "off")}
	case "attest":
		return Attest{Node: text("asked", "a", "b", "c"), Target: suspect, Seen: off("seen", r.Nodes[suspect.Node].Beat), Operator: "ann", Reason: text("reason", "unplugged", "")}
	}
	return Move{Node: b.Node, Group: group, Epoch: epoch, To: text("to", "a", "b", "c", "")}
}

func image(r Record) string {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// Whatever is proposed: Apply is a function of its arguments and changes neither, a refusal has no
// effect, and the ledger keeps its promises.
func TestApplyKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{}
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			cmd := anyCommand(t, r)
			before := image(r)
			next, err := Apply(r, cmd)
			again, errAgain := Apply(r, cmd)
			if image(r) != before {
				t.Fatalf("%v changed the record that it was given", cmd)
			}
			if image(next) != image(again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("%v came to two results", cmd)
			}
			if err != nil && (RefusedAs(err) == "" || image(next) != before) {
				t.Fatalf("%v: %v: a refusal must have a code and no effect:\n%s", cmd, err, cmp.Diff(r, next))
			}
			if broken := promises(r, next, cmd); broken != "" {
				t.Fatalf("%v: %s:\n%s", cmd, broken, cmp.Diff(r, next))
			}
			r = next
		}
	})
}

// promises says which invariant of the ledger a step broke, or "".
func promises(r, next Record, cmd Command) string {
	for name, n := range r.Nodes {
		if next.Nodes[name].Beat < n.Beat {
			return "the beat of " + name + " went back"
		}
		if m := next.Nodes[name]; n.Fenced && !m.Fenced && m.Boot.Kernel == n.Boot.Kernel {
			return "a dead boot of " + name + " lives again"
		}
	}
	if len(next.Fences) > fenceHistory {
		return "the history of fences has no end"
	}
	for name, g := range next.Groups {
		if broken := groupPromises(r.Groups[name], g, r, next, cmd); broken != "" {
			return name + ": " + broken
		}
	}
	return ""
}

func groupPromises(was, g Group, r, next Record, cmd Command) string {
	take, taken := cmd.(Take)
	taken = taken && g.Epoch == was.Epoch+1
	changed := g.Holder != was.Holder && !g.Holder.IsZero()
	switch {
	case g.Epoch < was.Epoch:
		return "the epoch went back"
	case changed && !(taken && take.Boot == g.Holder):
		return "a holder came without a take and a new epoch"
	case !changed && g.Epoch != was.Epoch:
		return "a new epoch without a new holder"
	case taken && next.Nodes[g.Holder.Node].Boot != g.Holder:
		return "a boot that isn't registered holds the group"
	case taken && !was.Suspect.IsZero() && g.Suspect != was.Suspect:
		return "the suspect was lost in a take"
	case taken && was.Suspect.IsZero() && g.Suspect != was.Holder:
		return "the former holder isn't the suspect"
	case !taken && !was.Holder.IsZero() && g.Holder.IsZero() && g.Suspect != was.Holder && g.Suspect != was.Suspect && !isOver(was.Holder, next, cmd):
		return "a holder went without a trace"
	case was.Suspect != g.Suspect && !was.Suspect.IsZero() && !isOver(was.Suspect, next, cmd):
		return fmt.Sprintf("%v was cleared without evidence", was.Suspect)
	case !g.Suspect.IsZero() && g.Suspect == g.Holder:
		return "a boot is holder and suspect"
	case !was.Suspect.IsZero() && !was.Accept.takes(OperatorAttested) && g.Suspect.IsZero() && g.Evidence == OperatorAttested:
		return "an operator's word was evidence where it isn't accepted"
	case !was.Suspect.IsZero() && !g.Suspect.IsZero() && !was.Accept.takes(OperatorAttested) && g.Accept.takes(OperatorAttested):
		return "what evidence a suspect needs was weakened"
	case g.Protection == ProtectLease && was.Protection == ProtectFence && !was.Suspect.IsZero():
		return "a suspect's protection was weakened"
	}
	return ""
}

// isOver says that a command is evidence about a boot: its own word, its machine's new boot, a
// fencer's proof, an operator's word, or, where that suffices, expiry.
func isOver(b Boot, next Record, cmd Command) bool {
	switch c := cmd.(type) {
	case Release:
		return c.Boot == b && !c.Dirty
	case Register:
		return c.Boot.Node == b.Node && c.Boot.Kernel != b.Kernel
	case Clear:
		return c.Suspect == b && (c.Evidence == PowerOffVerified || c.Evidence == Expired && next.Groups[c.Group].Protection == ProtectLease)
	case Attest:
		return c.Target == b && c.Reason != ""
	}
	return false
}

func TestTheHistoryOfFencesIsBounded(t *testing.T) {
	r := Record{}
	apply := func(c Command) {
		t.Helper()
		next, err := Apply(r, c)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		r = next
	}
	a, b := Boot{Node: "a", Kernel: "k", Incarnation: "i"}, Boot{Node: "b", Kernel: "k", Incarnation: "i"}
	apply(Register{Boot: a})
	apply(Register{Boot: b})
	apply(Take{Group: "g", Boot: a, Protection: ProtectFence, Seen: See(r, "g")})
	apply(Take{Group: "g", Boot: b, Protection: ProtectFence, Seen: See(r, "g")})
	for i := range 2 * fenceHistory {
		apply(Intent{Group: "g", Boot: b, Epoch: 2, Suspect: a})
		if _, open := r.OpenFence("a"); !open {
			t.Fatalf("intent %d was forgotten", i)
		}
		apply(Report{Boot: b, Target: a, Outcome: "unknown", Detail: fmt.Sprint(i)})
	}
	if len(r.Fences) != fenceHistory || r.Fences[fenceHistory-1].Detail != fmt.Sprint(2*fenceHistory-1) {
		t.Errorf("%d fences, the last %+v", len(r.Fences), r.Fences[len(r.Fences)-1])
	}
}

func TestARegistrationSaysWhatItsFileSays(t *testing.T) {
	b := Boot{Node: "a", Kernel: "k1", Incarnation: "i1"}
	r, err := Apply(Record{}, Register{Boot: b, Shared: "detail all\nledger.ttl 3s\n"})
	if err != nil {
		t.Fatal(err)
	}
	r, err = Apply(r, Beat{Boot: b})
	if err != nil || r.Nodes["a"].Shared != "detail all\nledger.ttl 3s\n" {
		t.Errorf("after a beat: %+v, %v", r.Nodes["a"], err)
	}
	// The daemon was restarted on the same boot with another file.
	r, err = Apply(r, Register{Boot: b, Shared: "detail all\nledger.ttl 5s\n"})
	if err != nil || r.Nodes["a"].Shared != "detail all\nledger.ttl 5s\n" {
		t.Errorf("registered again: %+v, %v", r.Nodes["a"], err)
	}
	if _, err := Apply(r, Register{Boot: b, Shared: string(make([]byte, maxShared+1))}); RefusedAs(err) != Unacceptable {
		t.Errorf("more than the ledger carries: %v", err)
	}
}

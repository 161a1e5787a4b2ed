package arbitertest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/solevip/solevip/arbiter"
)

// Commands makes commands up: such as a daemon would propose seeing a record, and now and then one
// that is wrong in some detail, for the refusals.
type Commands struct {
	Rand   *rand.Rand
	Nodes  []string
	Groups []string
}

// NewCommands makes commands from a seed, for the suite's nodes and two groups.
func NewCommands(seed uint64) *Commands {
	return &Commands{Rand: rand.New(rand.NewPCG(seed, 1)), Nodes: Nodes, Groups: []string{"mysql", "nfs"}}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// Next is a command in the name of any node.
func (c *Commands) Next(r arbiter.Record) arbiter.Command { return c.For(pick(c.Rand, c.Nodes), r) }

// For is a command in the name of a node that sees the record.
func (c *Commands) For(node string, r arbiter.Record) arbiter.Command {
	self := r.Nodes[node].Boot
	if self.IsZero() || r.Nodes[node].Fenced || c.one(25) {
		return c.register(node, r)
	}
	switch c.Rand.IntN(12) {
	case 0, 1, 2:
		return arbiter.Beat{Boot: c.boot(self)}
	case 3, 4:
		return c.take(self, r)
	case 5:
		return c.release(self, r)
	case 6:
		return c.clear(self, r)
	case 7, 8:
		return c.intent(self, r)
	case 9:
		return arbiter.Report{Boot: self, Target: c.target(self, r), Method: "ipmi", Outcome: pick(c.Rand, []string{"unknown", "not-off", "off"}), At: 7}
	}
	return c.rare(node, r)
}

// one says yes once in n.
func (c *Commands) one(n int) bool { return c.Rand.IntN(n) == 0 }

// boot is the node's own, or rarely another life's.
func (c *Commands) boot(b arbiter.Boot) arbiter.Boot {
	if c.one(20) {
		b.Incarnation = "incarnation-of-nobody"
	}
	return b
}

// off by one, rarely.
func (c *Commands) number(n uint64) uint64 {
	if c.one(10) {
		return n + 1
	}
	return n
}

func (c *Commands) register(node string, r arbiter.Record) arbiter.Command {
	b := arbiter.Boot{
		Node: node, Kernel: fmt.Sprintf("kernel-%d-%s", c.Rand.IntN(3), node), Incarnation: fmt.Sprintf("incarnation-%d-%s", c.Rand.IntN(2), node),
	}
	return arbiter.Register{Boot: b, Seen: c.number(r.Nodes[node].Beat), Shared: pick(c.Rand, []string{"", "detail all\nledger.ttl 3s\n"}), Manual: c.one(4)}
}

func (c *Commands) take(self arbiter.Boot, r arbiter.Record) arbiter.Command {
	group := pick(c.Rand, c.Groups)
	t := arbiter.Take{Group: group, Boot: c.boot(self), Protection: pick(c.Rand, []arbiter.Protection{arbiter.ProtectFence, arbiter.ProtectLease}), Seen: arbiter.See(r, group)}
	t.Accept = pick(c.Rand, []arbiter.Accept{"", "", "", arbiter.AcceptOf(arbiter.Released, arbiter.NewBoot, arbiter.PowerOffVerified)})
	t.Seen.Beat, t.Seen.Epoch = c.number(t.Seen.Beat), c.number(t.Seen.Epoch)
	return t
}

func (c *Commands) release(self arbiter.Boot, r arbiter.Record) arbiter.Command {
	group := pick(c.Rand, c.Groups)
	return arbiter.Release{Group: group, Boot: self, Epoch: c.number(r.Groups[group].Epoch), Dirty: c.one(3)}
}

// contested is a group that the node holds and that has a suspect, if there is one, or any.
func (c *Commands) contested(self arbiter.Boot, r arbiter.Record) string {
	for _, name := range c.Groups {
		if g := r.Groups[name]; g.Holder == self && !g.Suspect.IsZero() && !c.one(5) {
			return name
		}
	}
	return pick(c.Rand, c.Groups)
}

// target is a boot that the node is fencing, or any other.
func (c *Commands) target(self arbiter.Boot, r arbiter.Record) arbiter.Boot {
	for _, f := range r.Fences {
		if f.State == arbiter.FenceOpen && f.By == self && !c.one(5) {
			return f.Target
		}
	}
	return c.suspect(self, r)
}

// suspect is a boot that the node would fence, or any other.
func (c *Commands) suspect(self arbiter.Boot, r arbiter.Record) arbiter.Boot {
	if s := r.Groups[c.contested(self, r)].Suspect; !s.IsZero() {
		return s
	}
	return r.Nodes[pick(c.Rand, c.Nodes)].Boot
}

func (c *Commands) clear(self arbiter.Boot, r arbiter.Record) arbiter.Command {
	group := c.contested(self, r)
	evidence := pick(c.Rand, []arbiter.Evidence{arbiter.PowerOffVerified, arbiter.PowerOffVerified, arbiter.Expired, arbiter.Released})
	return arbiter.Clear{
		Group: group, Boot: self, Epoch: c.number(r.Groups[group].Epoch), Suspect: c.target(self, r), Evidence: evidence, Method: "ipmi", At: 5,
	}
}

func (c *Commands) intent(self arbiter.Boot, r arbiter.Record) arbiter.Command {
	group := c.contested(self, r)
	i := arbiter.Intent{Group: group, Boot: self, Epoch: c.number(r.Groups[group].Epoch), Suspect: r.Groups[group].Suspect, At: 3}
	if f, open := r.OpenFence(i.Suspect.Node); open && c.one(2) {
		i.Rival = arbiter.Rival{Boot: f.By, Beat: c.number(r.Nodes[f.By.Node].Beat)}
	}
	return i
}

// rare are the commands of operators.
func (c *Commands) rare(node string, r arbiter.Record) arbiter.Command {
	group := pick(c.Rand, c.Groups)
	if c.one(3) {
		to := pick(c.Rand, append(slices.Clone(c.Nodes), ""))
		return arbiter.Move{Node: node, Group: group, Epoch: c.number(r.Groups[group].Epoch), To: to}
	}
	target := pick(c.Rand, c.Nodes)
	if c.one(4) {
		o := arbiter.Order{Boot: c.boot(r.Nodes[node].Boot), Target: r.Nodes[target].Boot, Seen: c.number(r.Nodes[target].Beat), Force: c.one(3), Operator: "ops", Reason: "smoke", At: 9}
		if f, open := r.OpenFence(target); open && c.one(2) {
			o.Rival = arbiter.Rival{Boot: f.By, Beat: c.number(r.Nodes[f.By.Node].Beat)}
		}
		return o
	}
	if c.one(8) {
		return arbiter.Maintain{Node: node, On: c.one(2), Seen: c.number(r.Maintenance.Serial), ForMS: 1000, Operator: "ops", Reason: "patches", At: 9}
	}
	for _, name := range c.Nodes {
		if r.Nodes[name].Barred && !c.one(4) {
			return arbiter.Unfence{Node: node, Target: r.Nodes[name].Boot, Operator: "ops", At: 9}
		}
	}
	if c.one(3) {
		device := pick(c.Rand, []string{"ipmi", "pdu"})
		was := r.Devices[target][device].Identity
		if c.one(4) {
			was += "?"
		}
		return arbiter.Identify{Node: node, Target: target, Device: device, Identity: fmt.Sprint("uuid-", c.Rand.IntN(3)), Was: was, Operator: "ops", At: 9}
	}
	boot := r.Nodes[target].Boot
	if s := r.Groups[group].Suspect; !s.IsZero() && c.one(2) {
		boot = s
	}
	return arbiter.Attest{Node: node, Target: boot, Seen: c.number(r.Nodes[boot.Node].Beat), Operator: "ops", Reason: "unplugged it", At: 9}
}

package arbiter

import "fmt"

// Command is one change to the ledger. The commands of this package are all there are.
type Command interface {
	// Actor is the node in whose name the command acts; a ledger that knows its clients by
	// certificate refuses a command whose actor is somebody else.
	Actor() string
	String() string
	apply(Record) (Record, error)
}

// Register says that a boot has begun (and swept what its machine had left over). Of a former boot
// of the node it quotes the beat at which that one was seen to stand still, so that two machines
// with one name never both hold: while the other still beats, this is stale.
//
// When the former boot ran on another kernel boot it is over, and is cleared everywhere with
// [NewBoot]. On the same kernel nothing is known of it, and it turns from holder into suspect.
// Registering the same boot again (a restarted daemon) changes nothing but the beat.
type Register struct {
	Boot Boot   `json:"boot"`
	Seen uint64 `json:"seen"`
	// Shared is what of the node's file must be the same on every node, for comparison by people.
	Shared string `json:"shared,omitempty"`
	// Manual says that the node, if it was fenced, is to take nothing until an operator says so.
	Manual bool `json:"manual,omitempty"`
}

// maxShared bounds Register.Shared: the ledger goes to every node with every beat.
const maxShared = 4096

// Beat renews everything that the boot holds.
type Beat struct {
	Boot Boot `json:"boot"`
}

// Sight is what a challenger watched stand still.
type Sight struct {
	Epoch   uint64 `json:"epoch"`
	Holder  Boot   `json:"holder,omitzero"`
	Suspect Boot   `json:"suspect,omitzero"`
	Beat    uint64 `json:"beat"` // of the holder's node
}

// See is the sight that a record gives of a group.
func See(r Record, group string) Sight {
	g := r.Groups[group]
	return Sight{Epoch: g.Epoch, Holder: g.Holder, Suspect: g.Suspect, Beat: r.Nodes[g.Holder.Node].Beat}
}

// Take makes the boot the holder of a group with a new epoch, and the former holder its suspect.
// It is stale when the group or the holder's beat is not what was seen. It counts as a beat of the
// taker: a registration in the same name that saw it hold nothing is stale from then on.
type Take struct {
	Group      string     `json:"group"`
	Boot       Boot       `json:"boot"`
	Protection Protection `json:"protection"`
	Accept     Accept     `json:"accept,omitempty"`
	Seen       Sight      `json:"seen"`
}

// Release gives a group back: the addresses are down and, unless Dirty, the service is demoted. The
// suspect of a group may release it too: its own word is evidence, if it comes before the fence.
// Either way it quotes the group's epoch, so that one that was long under way says nothing about a
// later epoch.
// Dirty says that demoting failed: the group is free to take, but the boot remains suspect.
type Release struct {
	Group string `json:"group"`
	Boot  Boot   `json:"boot"`
	Epoch uint64 `json:"epoch"`
	Dirty bool   `json:"dirty,omitempty"`
}

// Clear agrees that a suspect is harmless. [PowerOffVerified] is a fact about the boot, so it
// clears that boot from every group and needs an open intent of the same fencer. [Expired] is a
// fact about one group, and only ProtectLease accepts it.
type Clear struct {
	Group    string   `json:"group"`
	Boot     Boot     `json:"boot"`
	Epoch    uint64   `json:"epoch"`
	Suspect  Boot     `json:"suspect"`
	Evidence Evidence `json:"evidence"`
	Method   string   `json:"method,omitempty"`
	Detail   string   `json:"detail,omitempty"`
	At       int64    `json:"at,omitempty"`
}

// Intent announces a fence, so that one node shoots, once. It is refused while another node's
// intent on the same target is open, unless that node's beat is still the one quoted in Rival:
// then the fencer died before it could report, and this intent replaces its.
type Intent struct {
	Group   string `json:"group"`
	Boot    Boot   `json:"boot"`
	Epoch   uint64 `json:"epoch"`
	Suspect Boot   `json:"suspect"`
	Rival   Rival  `json:"rival,omitzero"`
	At      int64  `json:"at,omitempty"`
}

// Rival is another fencer that was watched and stood still.
type Rival struct {
	Boot Boot   `json:"boot,omitzero"`
	Beat uint64 `json:"beat,omitempty"`
}

// Report closes an open intent that ended without proof.
type Report struct {
	Boot    Boot   `json:"boot"`
	Target  Boot   `json:"target"`
	Method  string `json:"method,omitempty"`
	Outcome string `json:"outcome"` // not-off or unknown
	Detail  string `json:"detail,omitempty"`
	At      int64  `json:"at,omitempty"`
}

// Attest is an operator's word that a boot is dead. It is stale when the boot beat after Seen.
type Attest struct {
	Node     string `json:"node"` // the node whose daemon the operator asked
	Target   Boot   `json:"target"`
	Seen     uint64 `json:"seen"`
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
	At       int64  `json:"at,omitempty"`
}

// Move asks that a group go to a node; an empty To takes the request back. It moves nothing by
// itself: the holder releases, and the named node takes.
type Move struct {
	Node  string `json:"node"` // who asks
	Group string `json:"group"`
	Epoch uint64 `json:"epoch"`
	To    string `json:"to"`
}

// Actor is the node in whose name the command acts.
func (c Register) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Beat) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Take) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Release) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Clear) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Intent) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Report) Actor() string { return c.Boot.Node }

// Actor is the node in whose name the command acts.
func (c Attest) Actor() string { return c.Node }

// Actor is the node in whose name the command acts.
func (c Move) Actor() string { return c.Node }

func (c Register) String() string { return fmt.Sprintf("register %v seen=%d", c.Boot, c.Seen) }
func (c Beat) String() string     { return fmt.Sprintf("beat %v", c.Boot) }
func (c Take) String() string {
	return fmt.Sprintf("take %s by %v (%s) from %v at epoch %d beat %d", c.Group, c.Boot, c.Protection, c.Seen.Holder, c.Seen.Epoch, c.Seen.Beat)
}

func (c Release) String() string {
	if c.Dirty {
		return fmt.Sprintf("release %s by %v epoch %d dirty", c.Group, c.Boot, c.Epoch)
	}
	return fmt.Sprintf("release %s by %v epoch %d", c.Group, c.Boot, c.Epoch)
}

func (c Clear) String() string {
	return fmt.Sprintf("clear %s of %v by %v epoch %d: %s", c.Group, c.Suspect, c.Boot, c.Epoch, c.Evidence)
}

func (c Intent) String() string {
	return fmt.Sprintf("intent of %v to fence %v for %s epoch %d", c.Boot, c.Suspect, c.Group, c.Epoch)
}

func (c Report) String() string {
	return fmt.Sprintf("report of %v on %v: %s", c.Boot, c.Target, c.Outcome)
}
func (c Attest) String() string { return fmt.Sprintf("attest %v dead by %s", c.Target, c.Operator) }
func (c Move) String() string {
	return fmt.Sprintf("move %s epoch %d to %s", c.Group, c.Epoch, c.To)
}

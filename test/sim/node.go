package sim

import (
	"fmt"
	"time"

	"github.com/solevip/solevip/arbiter"
)

// Node is one machine: power, a kernel, services, a disk, and perhaps a daemon.
type Node struct {
	w      *World
	index  int
	name   string
	member bool
	clock  Clock

	powered bool
	running bool // false from a crash or a loss of power until the next boot
	boots   int
	lives   int // incarnations of the state directory
	kernel  *Kernel
	process *Process

	services map[string]*service
	saved    map[string]saved // the run directory: what a process of this boot left
	replica  arbiter.Record   // the ledger as this node has it
	unfit    map[string]bool  // its health checks fail

	cutIn, cutOut bool // from, and to, the ledger
	bmc           *BMC
	hooks         hookMood
}

func newNode(w *World, index int, member bool) *Node {
	n := &Node{w: w, index: index, member: member, name: string(rune('a' + index)), unfit: map[string]bool{}, lives: 1}
	if !member {
		n.name = "arb"
	}
	n.clock = Clock{offset: w.upTo(time.Hour), ppm: w.rng.Int64N(2*w.plan.Drift+1) - w.plan.Drift}
	n.bmc = &BMC{n: n}
	return n
}

func (n *Node) read() time.Duration { return n.clock.At(n.w.now) }

// bootID is the life that the node is in.
func (n *Node) bootID() arbiter.Boot {
	return arbiter.Boot{Node: n.name, Kernel: fmt.Sprintf("k%d", n.boots), Incarnation: fmt.Sprintf("i%d", n.lives)}
}

// lives reports whether the machine still runs the kernel of a boot.
func (n *Node) runs(b arbiter.Boot) bool {
	return n.running && n.bootID().Kernel == b.Kernel && n.name == b.Node
}

// boot turns the machine on, with a new kernel and nothing up.
func (n *Node) boot() {
	if n.running {
		return
	}
	n.powered, n.running = true, true
	n.boots++
	n.lives++
	n.kernel = &Kernel{n: n, up: map[string]*address{}}
	n.services, n.saved = map[string]*service{}, map[string]saved{}
	n.replica = arbiter.Record{}
	n.w.log("%s: boots as %v", n.name, n.bootID())
	n.w.after(n.w.upTo(time.Second), n.start)
}

// halt ends the machine's life: a crash, or its power went.
func (n *Node) halt(why string) {
	if !n.running {
		return
	}
	n.w.log("%s: %s", n.name, why)
	n.kill("")
	n.running = false
	n.kernel = &Kernel{n: n, up: map[string]*address{}}
	n.services = map[string]*service{}
}

// cutPower is what the power device does.
func (n *Node) cutPower() {
	n.halt("power off")
	n.powered = false
	n.w.after(n.w.between(5*time.Second, 40*time.Second), n.boot)
}

// start begins a daemon, unless there is one.
func (n *Node) start() {
	if n.running && n.process == nil {
		n.process = newProcess(n)
		n.process.begin()
	}
}

// kill ends the daemon at once, with its hooks; the kernel and the services stay.
func (n *Node) kill(why string) {
	if n.process == nil {
		return
	}
	if why != "" {
		n.w.log("%s: %s", n.name, why)
	}
	n.process.dead = true
	n.process = nil
}

// loseState makes the next daemon forget that it ever ran on this boot.
func (n *Node) loseState() {
	n.w.log("%s: loses its state directory", n.name)
	n.lives++
	n.saved = map[string]saved{}
}

// answers reports whether the machine answers for a group's addresses.
func (n *Node) answers(group string) bool { return n.running && n.kernel.up[group] != nil }

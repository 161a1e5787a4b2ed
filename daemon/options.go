// Package daemon is the shell: it owns the clock, the goroutines, the event loop, the timers and
// the log, performs what the pure machines decide, and tells them what came of it.
//
// It decides nothing about safety: who may hold what is claim's, what an advert means is vrrp's,
// what a command does is arbiter's. One goroutine, the loop, owns every machine, so machines have
// no locks; everything that blocks (the ledger, hooks, fencing, the kernel) runs beside it and
// comes back as an event. The adapters are handed in; the interfaces here say what the loop needs
// of them.
package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/solevip/solevip/api"
	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/vrrp"
)

// Arbiter is the ledger, as raftnode and arbiter/etcd keep it.
type Arbiter interface {
	// Propose asks that a command be agreed. It returns the record as of then with nil (agreed) or
	// an [arbiter.Refusal] (agreed to refuse). After any other error the outcome is unknown.
	Propose(ctx context.Context, c arbiter.Command) (arbiter.Record, error)
	// Read is a record no older than the call.
	Read(ctx context.Context) (arbiter.Record, error)
	// Watch sends the newest record whenever there is one, until ctx ends.
	Watch(ctx context.Context) <-chan arbiter.Record
	// Status is what this node knows of the ledger's health.
	Status() LedgerStatus
}

// Tended is a ledger that an operator must look after, beside the daemon: etcd is.
type Tended interface {
	// Clean removes what is left of nodes and groups other than those named, and says what it kept and why.
	Clean(ctx context.Context, nodes, groups []string) (removed, kept []string, err error)
	// Confirm takes an operator's word that a ledger which went back (a restored backup) may be acted on.
	Confirm(ctx context.Context, operator, reason string) error
}

// LedgerStatus is the health of the ledger as this node sees it.
type LedgerStatus struct {
	Leader  string
	Quorum  bool
	Problem string // what an operator should know, or ""
	// Voters are the nodes that vote; empty when unknown, or when the ledger is kept elsewhere.
	Voters   []string
	Warnings []string // further things that an operator should know
}

// Host is a ledger that also keeps those of other clusters, and can say which.
type Host interface {
	Served() []api.Served
}

// Members is a ledger that the nodes keep themselves, and so can say who votes in it. It returns who votes then, and whether that is new.
type Members interface {
	AddNode(ctx context.Context, node string) (voters []string, changed bool, err error)
	RemoveNode(ctx context.Context, node string) (voters []string, changed bool, err error)
}

// Kernel holds the addresses, as package vip does.
type Kernel interface {
	// Sweep removes what an earlier life left over, except for the groups in keep whose addresses
	// are up: those it names in kept.
	Sweep(keep []string) (kept []string, err error)
	// Bind brings the addresses of the permits' groups up, or extends them.
	Bind(permits ...claim.Permit) error
	// Unbind takes the addresses of groups down; it is never too late and never too often.
	Unbind(groups ...string) error
	// Reconcile makes the kernel agree with the last Bind and Unbind, and tells what it mended.
	Reconcile() (mended []string, err error)
	// Changed sends when something else may have changed the kernel's state, until ctx ends.
	Changed(ctx context.Context) <-chan struct{}
	// Announce tells the neighbours where the addresses of groups are.
	Announce(ctx context.Context, groups ...string) error
}

// Link is a VRRP socket on an interface.
type Link interface {
	Send(a vrrp.Advert) error
	// Run hands every advert that is heard to deliver until ctx ends.
	Run(ctx context.Context, deliver func(vrrp.Advert, netip.Addr)) error
}

// Options are what a daemon is made of.
type Options struct {
	Node, Cluster, Version string
	Boot                   arbiter.Boot
	Arbiter                bool // this node only votes
	Nodes                  []Node
	Groups                 []Group
	TTL, Margin            time.Duration
	RejoinManually         bool // once fenced, this node takes nothing until an operator says so

	Ledger  Arbiter // nil when no group is protected
	Kernel  Kernel  // nil on an arbiter
	Fencing map[string]*fence.Plan
	RunDir  string
	// Clock reads the node's clock: not slewed, and it counts suspend. See [Clock].
	Clock func() time.Duration
	// Hook runs a hook; nil means [hook.Run].
	Hook func(ctx context.Context, h hook.Hook, stage string, f hook.Facts) error
	// Reachable says whether something answers at a node's cluster port: evidence of life.
	Reachable func(ctx context.Context, node string) bool
	Ready     func()   // called once, when leftovers are swept and the work begins; may be nil
	Warnings  []string // of the configuration, shown in the status
	// Shared is what of the file must be the same on every node, key by key.
	Shared map[string]string
	Log    *slog.Logger
}

// Node is a machine of the cluster.
type Node struct {
	Name    string
	Arbiter bool
	Address netip.Addr // invalid when no group is protected and none was given
	// Adverts are further addresses that its adverts are known to come from.
	Adverts []netip.Addr
}

// Group is the addresses and hooks that move together, as this node takes part in them.
type Group struct {
	Name       string
	Protection arbiter.Protection
	Accept     arbiter.Accept
	Member     bool             // this node may hold it
	Priority   map[string]uint8 // of every member
	Instances  []Instance
	Addresses  []string // as the operator wrote them
	Promote    hook.Hook
	Demote     hook.Hook
	Post       hook.Hook
	Announce   Announce
	Checks     []Check // whether this node is fit to hold it
}

// Instance is one virtual router of a group.
type Instance struct {
	Link   Link
	Router vrrp.Config
}

// Announce is how neighbours learn where the addresses are.
type Announce struct {
	Repeat  int           // bursts at once
	Delay   time.Duration // until a second burst; 0: none
	Refresh time.Duration // between later bursts; 0: none
}

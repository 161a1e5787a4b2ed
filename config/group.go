package config

import (
	"net/netip"
	"slices"
	"time"
)

// Protection is what a group demands before a claim.
type Protection string

// The protections, weakest first.
const (
	ProtectVRRP  Protection = "vrrp"
	ProtectLease Protection = "lease"
	ProtectFence Protection = "fence"
)

// Group is the addresses and hooks that move together.
type Group struct {
	Name       string     `mapstructure:"name"`
	Protection Protection `mapstructure:"protection" default:"fence" oneof:"vrrp lease fence"`
	// Accept is which evidence about a former holder suffices.
	Accept []string `mapstructure:"accept" computed:"released, new-boot, power-off-verified, operator-attested" hint:"write accept: [released, new-boot, power-off-verified], with or without operator-attested"`
	// Members are the nodes that may hold the group, in the order of cluster.nodes.
	Members []string `mapstructure:"members" computed:"every node with the role member" hint:"write members: [db1, db2]"`
	// Priority has a value for each member: the highest that lives gets the group.
	Priority map[string]uint8 `mapstructure:"priority" computed:"100" range:"1-254" entry:"NODE" hint:"write a number from 1 to 254 for each node: {db1: 200, db2: 100}"`
	// Preempt hands the group to a returning node of higher priority; only without a lease.
	Preempt      bool          `mapstructure:"preempt" default:"false"`
	PreemptDelay time.Duration `mapstructure:"preempt_delay" default:"0s" range:"0s-1000s"`
	Instances    []Instance    `mapstructure:"instances" required:"true" hint:"write instances: [{interface: eth0, vrid: 50, addresses: [10.0.0.100/24]}]"`
	Hooks        Hooks         `mapstructure:"hooks"`
	Announce     Announce      `mapstructure:"announce"`
	// Checks say whether a node is fit to hold the group. Every member runs them.
	Checks []Check `mapstructure:"checks" hint:"write checks: [{tcp: {address: \"127.0.0.1:3306\"}}]: a list, one kind in each"`
}

// MayHold reports whether a node is a member of the group.
func (g Group) MayHold(node string) bool { return slices.Contains(g.Members, node) }

// Instance is one virtual router: addresses on an interface, and the adverts that go with them.
type Instance struct {
	// Interface has a name for each member of the group.
	Interface map[string]string `mapstructure:"interface" required:"true" short:"*" entry:"NODE" hint:"write interface: eth0, or {db1: eth0, db2: ens3} where the nodes differ"`
	VRID      uint8             `mapstructure:"vrid" required:"true" range:"1-255" hint:"choose a number from 1 to 255 that no other virtual router on this LAN has"`
	// Addresses are IPv4, each with the prefix length that it is bound with.
	Addresses []netip.Prefix `mapstructure:"addresses" required:"true" hint:"write addresses: [10.0.0.100/24]"`
	Version   int            `mapstructure:"version" default:"3" range:"2-3"`
	// AdvertInterval is whole seconds in version 2 and whole hundredths in version 3.
	AdvertInterval time.Duration `mapstructure:"advert_interval" default:"1s" range:"10ms-255s"`
	Unicast        bool          `mapstructure:"unicast" default:"false"`
	// UnicastAddresses has, where Unicast is set, an address for each member of the group: a
	// node's own is the source of its adverts, the others are its peers.
	UnicastAddresses map[string]netip.Addr `mapstructure:"unicast_addresses" computed:"cluster.nodes.NODE.address" entry:"NODE"`
	// Checksum is the dialect of version 3 over IPv4 that is sent; both are understood.
	Checksum string `mapstructure:"checksum" default:"pseudo-header" oneof:"pseudo-header no-pseudo-header"`
	// Auth is nil without authentication; only version 2 has any.
	Auth *Auth `mapstructure:"auth" hint:"write auth: {password_file: ...}"`
}

// The checksum dialects of VRRPv3 over IPv4: with the IPv4 pseudo-header (keepalived, FRR) or
// without it (RFC 9568, Cisco, Juniper).
const (
	PseudoHeader   = "pseudo-header"
	NoPseudoHeader = "no-pseudo-header"
)

// Auth is VRRPv2's simple text password (RFC 2338 §5.3.6.2). It travels in the clear.
type Auth struct {
	PasswordFile string `mapstructure:"password_file"`
	PasswordEnv  string `mapstructure:"password_env"`
	Password     Secret `mapstructure:"-"`
}

// Hooks are the programs that start and stop the service behind a group.
type Hooks struct {
	Promote Hook `mapstructure:"promote" short:"path"` // before the addresses are up
	Demote  Hook `mapstructure:"demote" short:"path"`  // before they go down
	Post    Hook `mapstructure:"post" short:"path"`    // afterwards; nothing waits for it
}

// Hook is a program; one without a Path is none.
type Hook struct {
	Path    string        `mapstructure:"path" required:"true" hint:"write the program's absolute path"`
	Args    []string      `mapstructure:"args" hint:"write args: [...]"`
	Timeout time.Duration `mapstructure:"timeout" computed:"30s; for demote in a protected group ttl - beat - margin" range:"10ms-1h"`
}

// IsZero reports whether there is no hook.
func (h Hook) IsZero() bool { return h.Path == "" }

// Announce is how neighbours learn where the addresses are.
type Announce struct {
	Repeat  int           `mapstructure:"repeat" default:"5" range:"1-100"`    // packets per address and burst
	Delay   time.Duration `mapstructure:"delay" default:"5s" range:"0s-1h"`    // until the second burst; 0: none
	Refresh time.Duration `mapstructure:"refresh" default:"1m" range:"0s-24h"` // between later bursts; 0: none
}

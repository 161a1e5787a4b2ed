// Package config turns the one file of a cluster into a [Config]: decoded strictly, defaulted
// once, checked fully, and from then on just values.
//
// It owns the keys, their defaults and limits, where each value stands in the file, and what is
// said about a mistake: every one at once, with file, line, key and remedy. It reads the secrets
// that the file points at, and prints none. It does not know what the values are for: cmd
// translates them to the Options of the packages that do the work, so config imports none of
// them and none of them imports config.
//
// The fields below are the schema. Their tags say what the file calls them and what it may say:
//
//	mapstructure:"ttl"     the key; "-" is not in the file but worked out from it
//	default:"3s"           the value when the key is missing
//	computed:"ttl / 4"     how the value is worked out when the key is missing, for the reference
//	required:"true"        a mapping without this key is refused
//	range:"1-255"          the least and the greatest value of a number or a duration
//	oneof:"raft etcd"      the words that are allowed
//	short:"path"           a bare value stands for a mapping with this one key
//	entry:"NODE"           a mapping from names to entries; NODE is its placeholder in the reference
//	hint:"..."             what to do when the value is missing or of the wrong kind
package config

import (
	"net/netip"
	"strings"
	"time"
)

// Config is a checked file. The same file yields the same Config on every node, but for the
// secrets, of which each node has what it needs.
type Config struct {
	Cluster Cluster   `mapstructure:"cluster" required:"true" hint:"write cluster: {name: ..., nodes: {...}}"`
	Ledger  Ledger    `mapstructure:"ledger"`
	Fencing []Fencing `mapstructure:"fencing" entry:"NODE" hint:"write db1: {levels: [[{ipmi: {...}}]]}; leave a node out that can't be fenced"`
	Groups  []Group   `mapstructure:"groups" entry:"GROUP" hint:"describe at least one group of addresses under groups"`
	Log     Log       `mapstructure:"log"`

	// Timing follows from Ledger.
	Timing Timing `mapstructure:"-"`
	// Warnings are the doubtful things that are allowed, in the order of the file.
	Warnings []Problem `mapstructure:"-"`
}

// Cluster is the nodes and how they talk to each other.
type Cluster struct {
	// Name tells clusters apart; required when a group is protected.
	Name string `mapstructure:"name"`
	// Port carries everything between the nodes, over TCP.
	Port uint16 `mapstructure:"port" default:"7420" range:"1-65535"`
	TLS  TLS    `mapstructure:"tls" hint:"write tls: {ca: ..., cert: ..., key: ...}"`
	// Insecure turns TLS off: the nodes believe whoever connects.
	Insecure bool   `mapstructure:"insecure" default:"false"`
	Rejoin   Rejoin `mapstructure:"rejoin" default:"auto" oneof:"auto manual"`
	Nodes    []Node `mapstructure:"nodes" entry:"NODE" required:"true" hint:"list every node: nodes: {db1: {address: 10.0.0.5}}"`
}

// TLS is where a node finds its certificate. In Cert and Key, {node} stands for the node's name.
type TLS struct {
	CA   string `mapstructure:"ca" hint:"make one with solevip cert init"`
	Cert string `mapstructure:"cert" hint:"make one with solevip cert issue NODE"`
	Key  string `mapstructure:"key" hint:"it comes with the certificate: solevip cert issue NODE"`
}

// For returns the files of a node: {node} is its name.
func (t TLS) For(node string) TLS {
	t.Cert = strings.ReplaceAll(t.Cert, "{node}", node)
	t.Key = strings.ReplaceAll(t.Key, "{node}", node)
	return t
}

// Role is what a node does in the cluster.
type Role string

// The roles. Both vote.
const (
	Member  Role = "member"  // may hold groups
	Arbiter Role = "arbiter" // only votes
)

// Rejoin is what a fenced node may do when it is back.
type Rejoin string

// The ways back.
const (
	RejoinAuto   Rejoin = "auto"   // it is a backup at once
	RejoinManual Rejoin = "manual" // it holds nothing until an operator unfences it
)

// Node is one machine of the cluster.
type Node struct {
	Name string `mapstructure:"name"`
	// Address is where the other nodes reach it; required when a group is protected, and invalid
	// (the zero Addr) when left out.
	Address netip.Addr `mapstructure:"address" hint:"write the IP address at which the other nodes reach it"`
	Role    Role       `mapstructure:"role" default:"member" oneof:"member arbiter"`
	// Rejoin says what becomes of the node when it boots again after it was fenced.
	Rejoin Rejoin `mapstructure:"rejoin" computed:"cluster.rejoin" oneof:"auto manual"`
}

// Ledger is how the nodes agree on who holds what.
type Ledger struct {
	Backend string        `mapstructure:"backend" default:"raft" oneof:"raft etcd remote"`
	Etcd    *Etcd         `mapstructure:"etcd"`
	TTL     time.Duration `mapstructure:"ttl" default:"3s" range:"600ms-60s"`
	// Margin is how long before a lease's deadline its addresses are down.
	Margin time.Duration `mapstructure:"margin" computed:"50ms + ttl/60" range:"25ms-10s"`
	// Arbiters keep the ledger with backend remote: their addresses, with the port once checked.
	Arbiters []string `mapstructure:"arbiters" hint:"list the address of every arbiter: arbiters: [10.0.9.1, 10.0.9.2, 10.0.9.3]"`
	// TLS is how this node is known to them.
	TLS TLS `mapstructure:"tls" hint:"write tls: {ca: ..., cert: ..., key: ...}"`
}

// Log is what the daemon writes to its standard error.
type Log struct {
	Level  string `mapstructure:"level" default:"info" oneof:"debug info warn error"`
	Format string `mapstructure:"format" default:"text" oneof:"text json"`
}

// Protected reports whether any group needs the ledger, or the nodes keep one for others.
func (c Config) Protected() bool {
	if c.ArbitersOnly() {
		return true
	}
	for _, g := range c.Groups {
		if g.Protection != ProtectVRRP {
			return true
		}
	}
	return false
}

// Node returns the node of a name.
func (c Config) Node(name string) (Node, bool) {
	for _, n := range c.Cluster.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Group returns the group of a name.
func (c Config) Group(name string) (Group, bool) {
	for _, g := range c.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// FencingOf returns how a node is fenced.
func (c Config) FencingOf(node string) (Fencing, bool) {
	for _, f := range c.Fencing {
		if f.Node == node {
			return f, true
		}
	}
	return Fencing{}, false
}

package etcd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/solevip/solevip/arbiter"
)

// schema is the version of the layout: in the path of every key, and in meta.
const schema = 1

// The keys, relative to the ledger's prefix.
const (
	metaKey     = "meta"
	nodePrefix  = "node/"
	groupPrefix = "group/"
	fencePrefix = "fence/"
	// sharedPrefix and a node: what its registration said of its file. It is apart from the node's own
	// key, which every beat writes.
	sharedPrefix   = "shared/"
	maintenanceKey = "maintenance"
	// devicePrefix and a node: whose power its fence devices cut.
	devicePrefix = "device/"
)

func nodeKey(name string) string  { return nodePrefix + name }
func groupKey(name string) string { return groupPrefix + name }

func sharedKey(node string) string { return sharedPrefix + node }
func deviceKey(node string) string { return devicePrefix + node }

// fenceKey has leading zeros, so that etcd's order is the order of the fences.
func fenceKey(n uint64) string { return fmt.Sprintf("%s%012d", fencePrefix, n) }

// meta is what the ledger says of itself.
type meta struct {
	Schema  int    `json:"schema"`
	Cluster string `json:"cluster"`
	// ID is new with every ledger, and with every confirmation.
	ID string `json:"id"`
	// Etcd is the id of the etcd cluster, in hex, that the ledger was made or confirmed on.
	Etcd string `json:"etcd"`
	// Base is what a record's index is ahead of etcd's revision, so that it never falls.
	Base uint64 `json:"base,omitempty"`
	// Replaces are the ids of earlier ledgers that an operator gave up for this one, newest last.
	Replaces  []string      `json:"replaces,omitempty"`
	Confirmed *confirmation `json:"confirmed,omitempty"`
	Op        string        `json:"op"`
}

// confirmation is an operator's word that this ledger may be acted on.
type confirmation struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
	At       int64  `json:"at"` // Unix milliseconds, for people
}

// The values: what the ledger knows, and the newest operations that wrote it, newest first: so that one which
// was overwritten since can still be found out to have been carried out.
type (
	nodeValue struct {
		arbiter.Node
		Ops []string `json:"ops"`
	}
	groupValue struct {
		arbiter.Group
		Ops []string `json:"ops"`
	}
	fenceValue struct {
		arbiter.Fence
		Ops []string `json:"ops"`
	}
	sharedValue struct {
		Shared string   `json:"shared"`
		Ops    []string `json:"ops"`
	}
	maintenanceValue struct {
		arbiter.Maintenance
		Ops []string `json:"ops"`
	}
	deviceValue struct {
		Devices map[string]arbiter.Device `json:"devices"`
		Ops     []string                  `json:"ops"`
	}
)

// trailLength is how many operations a value names. Between an attempt whose answer is lost and the
// next, a node's key is written a few times at most.
const trailLength = 5

// trail is the operations to write into a key's next value.
func (v *view) trail(key, op string) []string {
	ops := append([]string{op}, v.keys[key].ops...)
	return ops[:min(len(ops), trailLength)]
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("etcd: encode %T: %v", v, err)) // plain values
	}
	return string(b)
}

// decode refuses unknown fields: an older program must not act on half of a newer one's ledger.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("trailing bytes")
	}
	return nil
}

// fenceNumber is the n of a fence's key.
func fenceNumber(key string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(key, fencePrefix), 10, 64)
	if err != nil || fenceKey(n) != key {
		return 0, fmt.Errorf("key %s: not a fence's number", key)
	}
	return n, nil
}

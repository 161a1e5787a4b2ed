package raftnode

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// store is a node's disk: Raft's log and votes in one file, its snapshots beside it.
//
// The disk's identity is in the same file as the votes, because they must be lost together: a node
// that kept its identity and lost its votes could vote twice in a term.
type store struct {
	bolt  *raftboltdb.BoltStore
	snaps raft.SnapshotStore
	dir   string
	disk  identity
}

// identity is what a disk knows of itself. ID is random and made once.
type identity struct {
	ID      string `json:"id"`
	Node    string `json:"node"`
	Cluster string `json:"cluster"`
}

// Keys beside Raft's own in its stable store.
var (
	keyDisk   = []byte("solevip/disk")   // identity
	keyPledge = []byte("solevip/pledge") // the configuration that this disk agreed to form
	keyLedger = []byte("solevip/ledger") // the formed ledger's id; set for ever
)

// A disk that isn't for this node to use, and what to do.
var (
	errBusy    = errors.New("give each its own --state-dir")
	errForeign = errors.New("give this node its own state directory")
)

const (
	lockWait      = 200 * time.Millisecond
	keepSnapshots = 2
)

// openStore opens or makes the node's disk under dir.
func openStore(dir, node, cluster string, log *slog.Logger) (*store, error) {
	dir = filepath.Join(dir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger directory: %w", err)
	}
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(dir, "raft.db"),
		BoltOptions: &bbolt.Options{Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("ledger directory %s: another daemon uses it: %w", dir, errBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger log in %s: %w", dir, err)
	}
	s := &store{bolt: bolt, dir: dir}
	if err := s.open(node, cluster, log); err != nil {
		return nil, errors.Join(err, bolt.Close())
	}
	return s, nil
}

func (s *store) open(node, cluster string, log *slog.Logger) error {
	var err error
	if s.snaps, err = raft.NewFileSnapshotStoreWithLogger(s.dir, keepSnapshots, raftLogger(log)); err != nil {
		return fmt.Errorf("ledger snapshots in %s: %w", s.dir, err)
	}
	if err := s.identify(node, cluster); err != nil {
		return err
	}
	return s.whole()
}

// identify reads the disk's identity, or gives it one.
func (s *store) identify(node, cluster string) error {
	raw, err := s.get(keyDisk)
	if err != nil {
		return fmt.Errorf("identity of the ledger's disk: %w", err)
	}
	if raw == nil {
		used, err := raft.HasExistingState(s.bolt, s.bolt, s.snaps)
		if err != nil {
			return fmt.Errorf("ledger log in %s: %w", s.dir, err)
		}
		if used {
			return fmt.Errorf("%s holds a Raft log without an identity; it isn't this program's, or it is damaged: %s", s.dir, moveAway)
		}
		s.disk = identity{ID: strings.ToLower(rand.Text()[:16]), Node: node, Cluster: cluster}
		raw, err = json.Marshal(s.disk)
		if err != nil {
			return err
		}
		if err := s.bolt.Set(keyDisk, raw); err != nil {
			return fmt.Errorf("identity of the ledger's disk: %w", err)
		}
		return syncDir(s.dir)
	}
	if err := json.Unmarshal(raw, &s.disk); err != nil {
		return fmt.Errorf("identity of the ledger's disk: %w", err)
	}
	if s.disk.Node != node || s.disk.Cluster != cluster {
		return fmt.Errorf("%s belongs to node %s of cluster %s, and this is node %s of cluster %s: %w", s.dir, s.disk.Node, s.disk.Cluster, node, cluster, errForeign)
	}
	return nil
}

// moveAway is the way out of a damaged disk.
const moveAway = "move that directory away and start again; the node will be re-admitted like one with a new disk"

// whole refuses a log that begins after a snapshot that isn't there: replayed, it would give a
// ledger that nobody agreed on.
func (s *store) whole() error {
	first, err := s.bolt.FirstIndex()
	if err != nil {
		return fmt.Errorf("ledger log in %s: %w", s.dir, err)
	}
	snaps, err := s.snaps.List()
	if err != nil {
		return fmt.Errorf("ledger snapshots in %s: %w", s.dir, err)
	}
	covered := slices.ContainsFunc(snaps, func(m *raft.SnapshotMeta) bool { return m.Index+1 >= first })
	if first > 1 && !covered {
		return fmt.Errorf("the ledger's log in %s begins at entry %d and the snapshot before it is missing: %s", s.dir, first, moveAway)
	}
	return nil
}

// id is the node's name in Raft's configuration. A node with a new disk is a new server there.
func (s *store) id() raft.ServerID { return raft.ServerID(s.disk.Node + "/" + s.disk.ID) }

// nodeOf is the node's name in a server id.
func nodeOf(id raft.ServerID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

func (s *store) get(key []byte) ([]byte, error) {
	b, err := s.bolt.Get(key)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil, nil
	}
	return b, err
}

// ledger is the id of the formed ledger, or "" when this disk is part of none.
func (s *store) ledger() (string, error) {
	raw, err := s.get(keyLedger)
	if err != nil {
		return "", fmt.Errorf("ledger id: %w", err)
	}
	return string(raw), nil
}

func (s *store) setLedger(id string) error {
	if err := s.bolt.Set(keyLedger, []byte(id)); err != nil {
		return fmt.Errorf("ledger id: %w", err)
	}
	return nil
}

// pledge is the configuration that this disk agreed to form: sorted server ids, or nil.
func (s *store) pledge() ([]string, error) {
	raw, err := s.get(keyPledge)
	if raw == nil || err != nil {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, fmt.Errorf("pledge: %w", err)
	}
	return ids, nil
}

func (s *store) setPledge(ids []string) error {
	raw, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	if err := s.bolt.Set(keyPledge, raw); err != nil {
		return fmt.Errorf("pledge: %w", err)
	}
	return nil
}

// ledgerID names the ledger that a configuration forms: the same on every node.
func ledgerID(cluster string, ids []string) string {
	sum := sha256.Sum256([]byte(cluster + "\n" + strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:8])
}

// bootstrap writes the first configuration, all voters, as entry 1.
func (s *store) bootstrap(ids []string, conf *raft.Config, t raft.Transport) error {
	var c raft.Configuration
	for _, id := range ids {
		c.Servers = append(c.Servers, server(raft.ServerID(id)))
	}
	err := raft.BootstrapCluster(conf, s.bolt, s.bolt, s.snaps, t, c)
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil // an earlier start got this far
	}
	if err != nil {
		return fmt.Errorf("form the ledger: %w", err)
	}
	return nil
}

// server is a voter. Its address is its id: the stream layer finds the host from the node's name,
// so that an address may change in the file without a change of membership.
func server(id raft.ServerID) raft.Server {
	return raft.Server{Suffrage: raft.Voter, ID: id, Address: raft.ServerAddress(id)}
}

func (s *store) close() error { return s.bolt.Close() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

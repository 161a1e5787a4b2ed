package raftnode

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/solevip/solevip/arbiter"
)

// How a ledger comes back from a backup.
//
// Import makes a new disk on one node, whose snapshot is the restored record and whose only voter is
// that node. The other nodes start with empty disks and are added. So that there are never two
// ledgers that act, an imported one agrees to nothing until its voters are a majority of the file's
// nodes: a disk belongs to one ledger only, so the former ledger has no majority from then on.

// importedPrefix begins the id of every imported ledger, so that each of its nodes knows.
const importedPrefix = "imported-"

// Import replaces the disk of a node that isn't running by one that begins with a record, and says
// where the former one went.
func Import(dir, node, cluster string, r arbiter.Record) (former string, err error) {
	at := filepath.Join(dir, "raft")
	if _, err := os.Stat(at); err == nil {
		held, err := openStore(dir, node, cluster, slog.New(slog.DiscardHandler)) // nobody else uses it
		if err == nil {
			err = held.close()
		}
		if errors.Is(err, errBusy) || errors.Is(err, errForeign) { // damaged or lost is fine: it is replaced
			return "", err
		}
		former = filepath.Join(dir, "raft-before-import-"+time.Now().UTC().Format("20060102T150405.000"))
		if err := os.Rename(at, former); err != nil {
			return "", fmt.Errorf("former ledger: %w", err)
		}
	}
	s, err := openStore(dir, node, cluster, slog.New(slog.DiscardHandler))
	if err != nil {
		return former, err
	}
	return former, errors.Join(s.begin(r), s.close())
}

// begin writes the snapshot that an imported ledger starts from. The ledger's id comes last: it says
// that all is there.
func (s *store) begin(r arbiter.Record) error {
	_, t := raft.NewInmemTransport(raft.ServerAddress(s.id()))
	r.Index++ // newer than what anybody has seen of the backup
	sink, err := s.snaps.Create(raft.SnapshotVersionMax, r.Index, 1, raft.Configuration{Servers: []raft.Server{server(s.id())}}, 1, t)
	if err != nil {
		return fmt.Errorf("snapshot of the imported ledger: %w", err)
	}
	if err := (image{Format: imageFormat, Spaces: map[string]arbiter.Record{own: r}}).Persist(sink); err != nil {
		return err
	}
	if err := s.bolt.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		return fmt.Errorf("term of the imported ledger: %w", err)
	}
	if err := s.setLedger(importedPrefix + strings.ToLower(rand.Text()[:16])); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// awaited says why an imported ledger doesn't act yet.
func (n *Node) awaited(r *raft.Raft) error {
	ledger, _ := n.identity()
	if !strings.HasPrefix(ledger, importedPrefix) {
		return nil
	}
	voters, in := votersOf(r.GetConfiguration().Configuration().Servers), 0
	for _, v := range voters {
		if n.opt.peer(v).Name != "" {
			in++
		}
	}
	if need := len(n.opt.Peers)/2 + 1; in < need {
		return fmt.Errorf("the ledger was imported, and agrees to nothing until %d of the file's nodes vote in it; now it is %s: on the others move the raft directory away, start them, and take them in with solevip cluster add", need, strings.Join(voters, ", "))
	}
	return nil
}

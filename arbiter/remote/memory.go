package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// memory is which ledger this node has been part of. Arbiters that were made anew, or others, know
// nothing of who holds what: epochs would begin again, and a group that somebody still holds would
// be free. So a node goes on with the ledger that it knows or with none, until an operator has made
// sure that nobody holds anything and deletes the file.
type memory struct {
	path   string
	ledger string // "" as long as this node was part of none
}

const memoryFile = "remote-ledger.json"

type remembered struct {
	Ledger string `json:"ledger"`
}

func openMemory(dir string) (memory, error) {
	m := memory{path: filepath.Join(dir, memoryFile)}
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	var r remembered
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil || r.Ledger == "" {
		return m, fmt.Errorf("which ledger this node has been part of: %s can't be read (%v): stop the whole cluster, see that no address of it is up, and delete the file", m.path, err)
	}
	m.ledger = r.Ledger
	return m, nil
}

// is compares, and remembers the first that it is told; the disk has it before anything else happens.
func (m *memory) is(ledger string) error {
	switch m.ledger {
	case ledger:
		return nil
	case "":
	default:
		return fmt.Errorf("%w: %s, and this node has been part of %s: mend the list of arbiters; or, if theirs was lost, stop the whole cluster, see that no address of it is up, and delete %s on every node",
			ErrOtherLedger, ledger, m.ledger, m.path)
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return fmt.Errorf("remember the ledger: %w", err)
	}
	b, err := json.Marshal(remembered{Ledger: ledger})
	if err != nil {
		return fmt.Errorf("remember the ledger: %w", err)
	}
	if err := writeSynced(m.path, append(b, '\n')); err != nil {
		return fmt.Errorf("remember the ledger: %w", err)
	}
	m.ledger = ledger
	return nil
}

// writeSynced writes a file whole, and returns once the disk has it.
func writeSynced(path string, b []byte) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

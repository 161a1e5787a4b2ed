package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/solevip/solevip/arbiter"
)

// bootIDFile is the kernel's id of this boot of the machine; see random(4).
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// Identity is this life of the node: the kernel's boot id (or kernel, when it isn't empty) and the
// incarnation that the state directory keeps, which is made up when there is none. Call it with
// the state directory locked: two processes with one incarnation must never run.
func Identity(node, stateDir, kernel string) (arbiter.Boot, error) {
	if kernel == "" {
		b, err := os.ReadFile(bootIDFile)
		if err != nil {
			return arbiter.Boot{}, fmt.Errorf("boot id of the kernel: %w", err)
		}
		kernel = strings.TrimSpace(string(b))
	}
	incarnation, err := incarnation(filepath.Join(stateDir, "incarnation.json"))
	if err != nil {
		return arbiter.Boot{}, fmt.Errorf("incarnation of the state directory: %w", err)
	}
	return arbiter.Boot{Node: node, Kernel: kernel, Incarnation: incarnation}, nil
}

// incarnation reads the state directory's identity, or makes it, synced to the disk before it is used.
func incarnation(path string) (string, error) {
	var kept struct {
		Incarnation string `json:"incarnation"`
	}
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &kept); err != nil || kept.Incarnation == "" {
			return "", fmt.Errorf("%s is damaged (%v): delete it, and this node starts as a new incarnation", path, err)
		}
		return kept.Incarnation, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	kept.Incarnation = hex.EncodeToString(id)
	b, err = json.Marshal(kept)
	if err != nil {
		return "", err
	}
	return kept.Incarnation, writeSynced(path, append(b, '\n'))
}

// writeSynced writes a file whole, and returns once the disk has it.
func writeSynced(path string, b []byte) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
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

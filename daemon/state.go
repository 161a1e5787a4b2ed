package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
)

// groupFile is a group's file in the run directory: for scripts that want the epoch, and for the
// next process of this boot, which may keep what is up.
type groupFile struct {
	Group    string       `json:"group"`
	Epoch    uint64       `json:"epoch"`
	Holder   string       `json:"holder"`   // node; "" when nobody holds it
	Up       bool         `json:"up"`       // the addresses are up on this node
	Deadline string       `json:"deadline"` // of this node's lease, by the wall clock; "" when it has none
	Clock    int64        `json:"clock_ns"` // the same by the node's own clock, in ns
	Boot     arbiter.Boot `json:"boot"`     // of this node
}

func groupPath(runDir, group string) string {
	return filepath.Join(runDir, "groups", group+".json")
}

// writeGroup writes a group's file whole: readers see the old one or the new one.
func (d *Daemon) writeGroup(g *group, v claim.View) {
	if d.o.RunDir == "" {
		return
	}
	f := groupFile{Group: g.o.Name, Epoch: v.Group.Epoch, Holder: v.Group.Holder.Node, Up: v.Role == claim.Holder, Boot: d.o.Boot}
	if v.Deadline > 0 {
		left := v.Deadline - d.o.Clock()
		f.Clock, f.Deadline = int64(v.Deadline), time.Now().Add(left).Format(time.RFC3339Nano)
	}
	if err := writeFile(groupPath(d.o.RunDir, g.o.Name), f); err != nil {
		d.log.Error("group file not written", "group", g.o.Name, "error", err)
	}
}

func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next := path + ".new"
	if err := os.WriteFile(next, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// inheritance is what a former process of the same boot left up, if its lease still runs. It held
// the lock on the state directory, so it is gone. A file that can't be read inherits nothing: then
// the addresses are swept and the group is given back, which is safe.
func (d *Daemon) inheritance(now time.Duration, o Group) *claim.Inheritance {
	if d.o.RunDir == "" {
		return nil
	}
	b, err := os.ReadFile(groupPath(d.o.RunDir, o.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f groupFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		d.log.Warn("group file of the former process not read", "group", o.Name, "error", fmt.Errorf("%s: %w", groupPath(d.o.RunDir, o.Name), err))
		return nil
	}
	deadline := time.Duration(f.Clock)
	if !f.Up || f.Boot != d.o.Boot || f.Holder != d.o.Node || now >= deadline-d.o.Margin || deadline > now+d.o.TTL {
		return nil
	}
	return &claim.Inheritance{Epoch: f.Epoch, Deadline: deadline}
}

// inherited names the groups that an earlier process left up and this one keeps.
func (d *Daemon) inherited() []string {
	var out []string
	for _, g := range d.groups {
		if g.in != nil {
			out = append(out, g.o.Name)
		}
	}
	return out
}

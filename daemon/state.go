package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/solevip/solevip/claim"
)

// writeGroup has a group's file written.
func (d *Daemon) writeGroup(g *group, v claim.View) {
	if d.files == nil {
		return
	}
	f := groupFile{Group: g.o.Name, Epoch: v.Group.Epoch, Holder: v.Group.Holder.Node, Up: v.Role == claim.Holder, Keep: v.Keeps, Boot: d.o.Boot}
	if v.Deadline > 0 {
		f.Clock, f.Deadline = int64(v.Deadline), wallClock(v.Deadline-d.o.Clock())
	}
	d.files.put(f)
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
	if !f.Keep || f.Boot != d.o.Boot || f.Holder != d.o.Node || now >= deadline-d.o.Margin || deadline > now+d.o.TTL {
		return nil
	}
	return &claim.Inheritance{Epoch: f.Epoch, Deadline: deadline}
}

// inherited names the groups that an earlier process left up, by their files.
func (d *Daemon) inherited() []string {
	var out []string
	for _, g := range d.groups {
		if g.in != nil {
			out = append(out, g.o.Name)
		}
	}
	return out
}

// keepOnly ends the inheritance of groups whose addresses the kernel has not up any more. A file
// alone is no proof: its writer may have taken the group down and given it back since.
func (d *Daemon) keepOnly(kept []string) {
	for _, g := range d.groups {
		if g.in == nil || slices.Contains(kept, g.o.Name) {
			continue
		}
		d.log.Info("an earlier process of this boot held it, but the addresses are not up any more", "group", g.o.Name, "epoch", g.in.Epoch)
		g.in = nil
		g.machine = d.newMachine(g)
	}
}

//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/solevip/solevip/test/bmc"
)

// The daemons that a lab can run.
const (
	Solevip    = "solevip"
	Keepalived = "keepalived"
)

// DefaultRoot is where labs keep their files.
const DefaultRoot = "/run/solevip-lab"

// Options describe a lab. They are kept in its directory.
type Options struct {
	Name    string `json:"name"`
	Dir     string `json:"dir"`     // its files; DefaultRoot/Name unless given
	Program string `json:"program"` // Solevip unless given
	Binary  string `json:"binary"`  // the path of solevip
	// Switch is the program, with its first arguments, that powers a machine: called as a BMC's
	// power program is (package bmc), and for a power strip with "pdu" semantics of its own.
	Switch []string `json:"switch"`

	TTL        time.Duration `json:"ttl"`        // 3 s unless given
	Advert     time.Duration `json:"advert"`     // keepalived's interval; 1 s unless given
	Protection string        `json:"protection"` // "fence" unless given
	PDU        bool          `json:"pdu"`        // a power strip as the second level of fencing
	Etcd       []string      `json:"etcd"`       // client URLs of an etcd that keeps the ledger; the embedded Raft unless given
	Hook       string        `json:"hook"`       // the path of a promote and demote hook; none unless given
}

func (o Options) withDefaults() (Options, error) {
	if !validName.MatchString(o.Name) {
		return o, fmt.Errorf("lab name %q: use up to 20 of a-z, 0-9 and -", o.Name)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(DefaultRoot, o.Name)
	}
	if o.Program == "" {
		o.Program = Solevip
	}
	if o.TTL == 0 {
		o.TTL = 3 * time.Second
	}
	if o.Advert == 0 {
		o.Advert = time.Second
	}
	if o.Protection == "" {
		o.Protection = "fence"
	}
	if o.Program == Solevip && (!filepath.IsAbs(o.Binary) || len(o.Switch) == 0) {
		return o, errors.New("a lab of solevip needs the absolute path of its binary and a power switch")
	}
	dir, err := filepath.Abs(o.Dir)
	o.Dir = dir
	return o, err
}

// Available says why labs can't run here, or nil: tests skip with it.
func Available(program string) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, to make network namespaces")
	}
	packages := map[string]string{"nft": "nftables"}
	if program == Keepalived {
		packages["keepalived"] = "keepalived"
	} else if err := bmc.Available(); err != nil {
		return err
	}
	for tool, pkg := range packages {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("needs %s (Debian package %s): %w", tool, pkg, err)
		}
	}
	return nil
}

// Lab is one cluster in namespaces.
type Lab struct {
	Options
	children sync.WaitGroup // daemons that this process started and has yet to reap
}

// ErrExists is returned by [Create] when there is such a lab already.
var ErrExists = errors.New("exists already")

// Create makes the namespaces, the switch and the BMCs. The machines are off. When it fails
// nothing is left.
func Create(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := Available(o.Program); err != nil {
		return nil, err
	}
	if exists(o) {
		return nil, fmt.Errorf("lab %s: %w", o.Name, ErrExists)
	}
	l := &Lab{Options: o}
	if err := l.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", o.Name, err), l.Destroy())
	}
	return l, nil
}

func exists(o Options) bool {
	parts, err := namespacesOf(o.Name)
	_, statErr := os.Stat(o.Dir)
	return err == nil && len(parts) > 0 || statErr == nil
}

func (l *Lab) create(ctx context.Context) error {
	for _, n := range Nodes {
		if err := os.MkdirAll(l.path(n.Name), 0o755); err != nil {
			return err
		}
	}
	if err := l.write("lab.json", l.Options); err != nil {
		return err
	}
	if err := wire(l.Name); err != nil {
		return err
	}
	if err := l.daemon().configure(l); err != nil {
		return err
	}
	if l.Program == Keepalived {
		return nil // nobody would ask a BMC
	}
	return l.startBMCs(ctx)
}

// Open finds a lab that was created before, perhaps by another process.
func Open(dir string) (*Lab, error) {
	text, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no lab in %s: start one with `solevip-lab up`", dir)
	}
	if err != nil {
		return nil, err
	}
	l := &Lab{}
	if err := json.Unmarshal(text, &l.Options); err != nil {
		return nil, fmt.Errorf("%s/lab.json: %w", dir, err)
	}
	return l, nil
}

// Remove removes a lab by its name and directory alone, so that it works after a crash too.
func Remove(o Options) error {
	o, err := Options{Name: o.Name, Dir: o.Dir, Program: Keepalived}.withDefaults()
	if err != nil {
		return err
	}
	if !exists(o) {
		return fmt.Errorf("lab %s: there is none", o.Name)
	}
	return (&Lab{Options: o}).Destroy()
}

// Destroy ends every process of the lab and removes its namespaces and files.
func (l *Lab) Destroy() error {
	parts, err := namespacesOf(l.Name)
	if err != nil {
		return fmt.Errorf("lab %s: %w", l.Name, err)
	}
	// BMCs first: a power switch that is being thrown starts daemons.
	slices.SortFunc(parts, func(a, b string) int {
		return boolFirst(strings.HasSuffix(a, bmcSuffix), strings.HasSuffix(b, bmcSuffix))
	})
	var errs []error
	for _, part := range parts {
		errs = append(errs, killAll(namespace(l.Name, part)))
	}
	for _, part := range parts {
		errs = append(errs, removeNamespace(namespace(l.Name, part)))
	}
	l.children.Wait()
	errs = append(errs, os.RemoveAll(l.Dir))
	if filepath.Dir(l.Dir) == DefaultRoot {
		syscall.Rmdir(DefaultRoot) // stays while there is another lab
	}
	return errors.Join(errs...)
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// removeNamespace takes the cables out first: the kernel cleans up a namespace in its own time,
// and an interface that still exists then would answer.
func removeNamespace(ns string) error {
	err := inside(ns, func() error { linkDown(nodeLink); return nil })
	return errors.Join(err, deleteNamed(ns))
}

// Namespace is the name of a part's namespace, for `ip netns exec`.
func (l *Lab) Namespace(part string) string { return namespace(l.Name, part) }

// BMC is the simulated controller of a member, for faults of its own.
func (l *Lab) BMC(node string) (*bmc.BMC, error) { return bmc.Attach(l.path("bmc"), node) }

// startBMCs starts a controller per member, in a namespace of its own, so that each can be cut off.
func (l *Lab) startBMCs(ctx context.Context) error {
	if err := os.MkdirAll(l.path("bmc"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(l.path("bmc.pass"), []byte(bmcPassword+"\n"), 0o600); err != nil {
		return err
	}
	for _, n := range Nodes {
		if !n.Member {
			continue
		}
		_, err := bmc.Start(ctx, bmc.Options{
			Dir: l.path("bmc"), Name: n.Name, Detach: true,
			Addr: netip.AddrPortFrom(n.BMC, 623).String(), NetNS: l.Namespace(n.Name + bmcSuffix),
			User: bmcUser, Password: bmcPassword,
			PowerProgram: append(slices.Clone(l.Switch), "chassis", "--dir", l.Dir),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	bmcUser     = "fence"
	bmcPassword = "s3cret"
)

func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

// write replaces a file of the lab's state as a whole.
func (l *Lab) write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := l.path("." + filepath.Base(name) + ".new")
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, l.path(name))
}

// locked runs f while no other process of this lab changes power or cables.
func (l *Lab) locked(f func() error) error {
	lock, err := os.OpenFile(l.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lab lock: %w", err)
	}
	return f()
}

// Package hook runs the scripts that move a service along with its addresses: promote before
// they come up, demote after the right to them is lost or given back, and notifications.
//
// It owns what a hook is told. Which stage runs when, and what a failure means, is for the
// daemon: a failed promote gives the epoch back, a failed demote is never reported as released.
package hook

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/solevip/solevip/proc"
)

// Hook is a program to run at a stage.
type Hook struct {
	Path    string // absolute
	Args    []string
	Timeout time.Duration // zero: only ctx limits it
}

// Check refuses a hook that can't be run, or that everybody may change.
func (h Hook) Check() error {
	if err := proc.Check(h.Path); err != nil {
		return fmt.Errorf("hook: %w", err)
	}
	return nil
}

// Facts are what a hook is told, in its environment.
type Facts struct {
	Group      string   // SOLEVIP_GROUP
	Node       string   // SOLEVIP_NODE: the node that runs the hook
	Epoch      uint64   // SOLEVIP_EPOCH: the fencing token, for storage to refuse a late writer
	Previous   string   // SOLEVIP_PREVIOUS: the former holder; empty if there was none
	Evidence   string   // SOLEVIP_EVIDENCE: why the former holder is harmless; empty if there was none
	Addresses  []string // SOLEVIP_ADDRESSES, separated by spaces
	DeadlineMS int64    // SOLEVIP_DEADLINE_MS: how long the hook has, in milliseconds
}

// ExitError is a hook that ended by itself and said no.
type ExitError struct {
	Code     int
	LastLine string // of its output; may be empty
}

func (e *ExitError) Error() string {
	if e.LastLine == "" {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return fmt.Sprintf("exit status %d: %s", e.Code, e.LastLine)
}

// Run runs the hook with the stage as its first argument, followed by its own, and returns nil
// when it exits with 0. At its time limit, and when ctx ends, its whole process group is killed.
// What a successful hook left running in the background stays.
func Run(ctx context.Context, h Hook, stage string, f Facts) error {
	res, err := proc.Run(ctx, proc.Command{
		Path:         h.Path,
		Args:         append([]string{stage}, h.Args...),
		Env:          proc.Env(f.environ()...),
		Timeout:      h.Timeout,
		KeepChildren: true,
	})
	switch {
	case err != nil:
		return fmt.Errorf("hook %s of %s: %w", stage, f.Group, err)
	case res.Code != 0:
		return fmt.Errorf("hook %s of %s: %s: %w", stage, f.Group, h.Path, &ExitError{Code: res.Code, LastLine: res.LastLine()})
	}
	return nil
}

func (f Facts) environ() []string {
	return []string{
		"SOLEVIP_GROUP=" + f.Group,
		"SOLEVIP_NODE=" + f.Node,
		"SOLEVIP_EPOCH=" + strconv.FormatUint(f.Epoch, 10),
		"SOLEVIP_PREVIOUS=" + f.Previous,
		"SOLEVIP_EVIDENCE=" + f.Evidence,
		"SOLEVIP_ADDRESSES=" + strings.Join(f.Addresses, " "),
		"SOLEVIP_DEADLINE_MS=" + strconv.FormatInt(f.DeadlineMS, 10),
	}
}

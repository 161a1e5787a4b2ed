//go:build !linux

package proc

import (
	"errors"
	"fmt"
	"os/exec"
)

// ownGroup refuses: a program whose children can't be killed for certain isn't run at all.
func ownGroup(*exec.Cmd) error {
	return fmt.Errorf("process groups that die with the daemon need Linux: %w", errors.ErrUnsupported)
}

func awaitExit(int) error { return errors.ErrUnsupported }

func killGroup(int) {}

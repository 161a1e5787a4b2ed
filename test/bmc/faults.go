package bmc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stuck makes the controller acknowledge power commands and do nothing.
func (b *BMC) Stuck(on bool) error { return b.fault("stuck", on, "") }

// Refuse makes the controller answer power commands with an error.
func (b *BMC) Refuse(on bool) error { return b.fault("refuse", on, "") }

// Slow makes power commands take effect only after a while, though they are acknowledged at
// once; zero heals.
func (b *BMC) Slow(d time.Duration) error {
	return b.fault("slow", d > 0, strconv.FormatFloat(d.Seconds(), 'f', 3, 64))
}

// Freeze stops the controller's process: to the outside, one that lost its power.
func (b *BMC) Freeze() error { return b.signal(syscall.SIGSTOP) }

// Thaw lets a frozen controller go on; it then answers what piled up in the meantime.
func (b *BMC) Thaw() error { return b.signal(syscall.SIGCONT) }

func (b *BMC) signal(s syscall.Signal) error {
	if err := syscall.Kill(b.pid, s); err != nil {
		return fmt.Errorf("simulated BMC %s: %w", s, err)
	}
	return nil
}

// fault writes or removes the file that the power switch looks for.
func (b *BMC) fault(name string, on bool, text string) error {
	if on {
		return os.WriteFile(b.path(name), []byte(text), 0o600)
	}
	if err := os.Remove(b.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Commands returns what the controller was told to do, oldest first, say "set power 0".
// Reading the power is not a command.
func (b *BMC) Commands() ([]string, error) {
	text, err := os.ReadFile(b.path("commands"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("simulated BMC command log: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n"), nil
}

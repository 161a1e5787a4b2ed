//go:build !linux

package vip

import (
	"context"
	"errors"

	"github.com/solevip/solevip/claim"
)

// Kernel exists on Linux only; elsewhere it can't be opened.
type Kernel struct{}

var errNotLinux = errors.New("virtual addresses need Linux: nftables and netlink are missing here")

// Open fails: see Kernel.
func Open(Options) (*Kernel, error) { return nil, errNotLinux }

// Sweep fails: see Kernel.
func (*Kernel) Sweep([]string) error { return errNotLinux }

// Bind fails: see Kernel.
func (*Kernel) Bind(...claim.Permit) error { return errNotLinux }

// Unbind fails: see Kernel.
func (*Kernel) Unbind(...string) error { return errNotLinux }

// Reconcile fails: see Kernel.
func (*Kernel) Reconcile() ([]Change, error) { return nil, errNotLinux }

// Watch reports nothing: see Kernel.
func (*Kernel) Watch(context.Context) <-chan struct{} {
	none := make(chan struct{})
	close(none)
	return none
}

// Announce fails: see Kernel.
func (*Kernel) Announce(context.Context, ...string) error { return errNotLinux }

// Status fails: see Kernel.
func (*Kernel) Status() (Status, error) { return Status{}, errNotLinux }

// Close does nothing: see Kernel.
func (*Kernel) Close() error { return nil }

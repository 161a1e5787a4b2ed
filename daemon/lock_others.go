//go:build !linux

package daemon

import "errors"

// Lock needs Linux.
func Lock(string) (func() error, error) { return nil, errors.New("solevip runs on Linux only") }

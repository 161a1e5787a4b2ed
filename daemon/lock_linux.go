package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPatience is how long a former process may take to be gone: one that was killed holds its locks until
// the kernel has torn it down.
const lockPatience = 2 * time.Second

// Lock makes a directory, if need be, and this process its only user until the returned function is called
// or the process is gone; see flock(2).
func Lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for began := time.Now(); errors.Is(err, unix.EWOULDBLOCK) && time.Since(began) < lockPatience; {
		time.Sleep(lockPatience / 200)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%s: another solevip uses this directory", dir), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock of %s: %w", path, err), f.Close())
	}
	return f.Close, nil
}

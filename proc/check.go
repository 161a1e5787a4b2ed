package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Check refuses a program that can't be run, or that anybody on the machine could have changed:
// hooks and fence scripts run with the daemon's rights.
func Check(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("program %q: not an absolute path; write it from the root, as in /etc/solevip/%s", path, filepath.Base(path))
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("program %s: %w", path, withoutPath(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("program %s: %w", path, withoutPath(err))
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return fmt.Errorf("program %s: not a regular file but %s", path, mode)
	case mode.Perm()&0o111 == 0:
		return fmt.Errorf("program %s: not executable; run chmod +x %s", path, real)
	case mode.Perm()&0o002 != 0:
		return fmt.Errorf("program %s: everybody may write to it (%s); run chmod o-w %s", path, mode, real)
	}
	// A link is as safe as the directories that it stands in and those that it leads to.
	for _, leaf := range []string{path, real} {
		if err := checkParents(leaf); err != nil {
			return fmt.Errorf("program %s: %w", path, err)
		}
	}
	return nil
}

// checkParents refuses directories in which everybody may rename; in one with the sticky bit only
// owners may.
func checkParents(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("directory %s: %w", dir, withoutPath(err))
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("everybody may replace files in %s (%s); run chmod o-w %s", dir, info.Mode(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// withoutPath is the cause of a path error, whose path would say the same twice.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// File is a number in a file, which an operator or a program writes: without a weight, 0 is good and anything else
// bad; with one, the weight counts so many times. A file that isn't there says 0.
type File struct{ Path string }

func (p File) Probe(ctx context.Context) error {
	n, err := p.Count(ctx)
	if err == nil && n != 0 {
		err = fmt.Errorf("%s says %d", p.Path, n)
	}
	return err
}

// Count reads the number.
func (p File) Count(context.Context) (int, error) {
	info, err := os.Stat(p.Path) // before opening: a pipe would block
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is not a regular file", p.Path)
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < -254 || n > 254 {
		return 0, fmt.Errorf("%s doesn't hold a number from -254 to 254", p.Path)
	}
	return n, nil
}

// Process is good while at least so many processes run a program of this name: that of the executable, or of the task.
type Process struct {
	Name  string
	Least int
	Proc  string // empty: /proc
}

func (p Process) Probe(context.Context) error {
	dir := p.Proc
	if dir == "" {
		dir = "/proc"
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil && p.runs(filepath.Join(dir, e.Name())) {
			found++
		}
	}
	if found < p.Least {
		return fmt.Errorf("%d processes called %s, fewer than %d", found, p.Name, p.Least)
	}
	return nil
}

// runs looks at one process, which may end meanwhile. A zombie has no executable, and doesn't count.
func (p Process) runs(dir string) bool {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return false
	}
	// proc(5): pid (comm) state ...; comm may hold anything, so the last parenthesis ends it.
	text := string(stat)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open || strings.HasPrefix(strings.TrimSpace(text[end+1:]), "Z") {
		return false
	}
	if text[open+1:end] == p.Name {
		return true
	}
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	return err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == p.Name
}

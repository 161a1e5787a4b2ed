package proc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	rows := []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the path to check
		refused string                                // part of the error; empty: accepted
	}{
		{"plain program", func(t *testing.T, dir string) string {
			return write(t, dir+"/p", 0o755)
		}, ""},
		{"program in a sticky directory like /tmp", func(t *testing.T, dir string) string {
			chmod(t, dir, 0o777|os.ModeSticky)
			return write(t, dir+"/p", 0o755)
		}, ""},
		{"link to a plain program", func(t *testing.T, dir string) string {
			link(t, write(t, dir+"/p", 0o755), dir+"/l")
			return dir + "/l"
		}, ""},
		{"relative path", func(*testing.T, string) string { return "promote.sh" }, "/etc/solevip/promote.sh"},
		{"missing", func(_ *testing.T, dir string) string { return dir + "/p" }, "no such file"},
		{"directory", func(_ *testing.T, dir string) string { return dir }, "not a regular file"},
		{"not executable", func(t *testing.T, dir string) string {
			return write(t, dir+"/p", 0o644)
		}, "chmod +x"},
		{"writable by everybody", func(t *testing.T, dir string) string {
			return write(t, dir+"/p", 0o757)
		}, "everybody may write to it"},
		{"in a directory of everybody's", func(t *testing.T, dir string) string {
			chmod(t, dir, 0o777)
			return write(t, dir+"/p", 0o755)
		}, "everybody may replace files in"},
		{"below a directory of everybody's", func(t *testing.T, dir string) string {
			if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
				t.Fatal(err)
			}
			chmod(t, dir, 0o777)
			return write(t, dir+"/sub/p", 0o755)
		}, "everybody may replace files in"},
		{"link into a directory of everybody's", func(t *testing.T, dir string) string {
			if err := os.Mkdir(dir+"/open", 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, write(t, dir+"/open/p", 0o755), dir+"/l")
			chmod(t, dir+"/open", 0o777)
			return dir + "/l"
		}, "everybody may replace files in"},
		{"link that stands in a directory of everybody's", func(t *testing.T, dir string) string {
			if err := os.Mkdir(dir+"/open", 0o755); err != nil {
				t.Fatal(err)
			}
			chmod(t, dir+"/open", 0o777)
			link(t, write(t, dir+"/p", 0o755), dir+"/open/l")
			return dir + "/open/l"
		}, "everybody may replace files in"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			err := Check(row.prepare(t, t.TempDir()))
			switch {
			case row.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)):
				t.Errorf("error %v, want %q in it", err, row.refused)
			}
		})
	}
}

func write(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
	return path
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Clean(at)); err != nil {
		t.Fatal(err)
	}
}

package rules

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what is found in testdata/planted into testdata/planted.txt")

// TestModule holds the rules against this module.
func TestModule(t *testing.T) {
	wrong, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range wrong {
		t.Error(line)
	}
}

// TestPlanted holds the rules against a module in which every one of them is broken, and against
// what is just allowed.
func TestPlanted(t *testing.T) {
	wrong, err := Check("testdata/planted")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(wrong, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile("testdata/planted.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("testdata/planted.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("found in testdata/planted (-want +got):\n%s", diff)
	}
}

// TestTables wants the tables to speak of modules that are in go.mod, so that a row does not
// outlive its dependency.
func TestTables(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if !inMod(string(mod), m.path) {
			t.Errorf("the table speaks of %s, which go.mod does not have", m.path)
		}
	}
}

// inMod reports whether a module, or one that a package path is in, is required.
func inMod(mod, path string) bool {
	for _, line := range strings.Split(mod, "\n") {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		have := words[0]
		if have == path || strings.HasPrefix(path, have+"/") || strings.HasPrefix(have, path+"/") {
			return true
		}
	}
	return false
}

package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reference = "../docs/configuration.md"

// TestTheReferenceIsTheSchema compares the tables of the reference with the tags: every key, its
// kind and limits, and its default, in the same order, and no other.
func TestTheReferenceIsTheSchema(t *testing.T) {
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var documented []Key
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) < 4 {
			t.Fatalf("a row with %d cells: %s", len(cells), line)
		}
		k := Key{Path: strings.Trim(cells[0], "| `"), Type: cells[1], Default: cells[2]}
		if k.Default == "–" {
			k.Default = ""
		}
		documented = append(documented, k)
	}
	if diff := cmp.Diff(Keys(), documented); diff != "" {
		t.Errorf("%s (-schema +documented):\n%s", reference, diff)
	}
}

func TestTheReferenceShowsTheExample(t *testing.T) {
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "```yaml\n"+string(Example)+"```") {
		t.Errorf("%s doesn't show example.yaml", reference)
	}
}

// TestEveryKeyIsUsed finds every key of the schema in a file of the tests that is right.
func TestEveryKeyIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, file := range []string{"full.yaml", "etcd.yaml", "etcd-env.yaml", "remote.yaml"} {
		b, err := os.ReadFile("testdata/files/" + file)
		if err != nil {
			t.Fatal(err)
		}
		d := &document{file: file, marks: map[string]mark{}}
		d.decode(b)
		for path := range d.marks {
			used[generic(path)] = true
		}
	}
	for _, k := range Keys() {
		if !used[k.Path] {
			t.Errorf("no file uses %s", k.Path)
		}
	}
}

// generic replaces the names and numbers in a path by the reference's placeholders.
func generic(path string) string {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		name, rest, indexed := strings.Cut(p, "[")
		if indexed {
			parts[i] = name + strings.Repeat("[]", strings.Count("["+rest, "["))
		}
	}
	switch {
	case len(parts) > 1 && parts[0] == "groups":
		parts[1] = "GROUP"
	case len(parts) > 1 && parts[0] == "fencing":
		parts[1] = "NODE"
	case len(parts) > 2 && parts[1] == "nodes":
		parts[2] = "NODE"
	}
	return strings.Join(parts, ".")
}

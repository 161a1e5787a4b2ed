package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expectations in testdata from what happens now")

// said is everything that reading a file says, a line each: "!" before an error, "?" before a
// warning.
func said(c Config, err error) []string {
	var lines []string
	var wrong Errors
	if errors.As(err, &wrong) {
		for _, p := range wrong {
			lines = append(lines, "! "+p.String())
		}
	} else if err != nil {
		lines = append(lines, "! "+err.Error())
	}
	for _, p := range c.Warnings {
		lines = append(lines, "? "+p.String())
	}
	return lines
}

// TestFiles reads whole files. Of a right one the expectation is the Config, with every default;
// of a wrong one what is said about it.
func TestFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/files/*.yaml")
	if len(files) < 10 {
		t.Fatalf("%d files in testdata/files", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(filepath.Base(file), b, Options{})
			got := strings.Join(said(c, err), "\n") + "\n"
			if err == nil {
				c.Warnings = nil
				values, err := json.MarshalIndent(c, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got += string(values) + "\n"
			}
			compare(t, strings.TrimSuffix(file, ".yaml")+".txt", got)
		})
	}
}

// edit is one change to the example, and what is said about the file then.
type edit struct {
	title     string
	old, with string
	said      []string
}

// TestEdits makes one mistake at a time in the example. The files hold, for each, its name after
// "#", the lines to replace after "<", those to put there after ">", and what is said after "!"
// and "?". Without ">" the lines are removed.
func TestEdits(t *testing.T) {
	files, _ := filepath.Glob("testdata/edits/*.txt")
	cases := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, e := range edits(t, file, string(b)) {
			cases++
			t.Run(strings.ReplaceAll(e.title, " ", "_"), func(t *testing.T) {
				if n := strings.Count(string(Example), e.old); n != 1 {
					t.Fatalf("the example has the lines to replace %d times, not once:\n%s", n, e.old)
				}
				text := strings.Replace(string(Example), e.old, e.with, 1)
				c, err := Parse("c.yaml", []byte(text), Options{})
				got := said(c, err)
				e.write(&out, got)
				if len(got) == 0 {
					t.Error("nothing is said about it")
				}
				if diff := cmp.Diff(e.said, got); diff != "" && !*rewrite {
					t.Errorf("said (-want +got):\n%s", diff)
				}
			})
		}
		if *rewrite {
			compare(t, file, out.String())
		}
	}
	if cases < 50 {
		t.Errorf("%d cases, fewer than 50", cases)
	}
}

func edits(t *testing.T, file, text string) []edit {
	t.Helper()
	var es []edit
	for i, line := range strings.Split(text, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case mark == "#":
			es = append(es, edit{title: rest})
		case len(es) == 0:
			t.Fatalf("%s:%d: no title yet", file, i+1)
		case mark == "<":
			es[len(es)-1].old += rest + "\n"
		case mark == ">":
			es[len(es)-1].with += rest + "\n"
		case mark == "!" || mark == "?":
			es[len(es)-1].said = append(es[len(es)-1].said, line)
		default:
			t.Fatalf("%s:%d: what is %q?", file, i+1, mark)
		}
	}
	return es
}

func (e edit) write(b *strings.Builder, said []string) {
	lines := func(mark, text string) {
		for line := range strings.Lines(text) {
			fmt.Fprintf(b, "%s %s", mark, line)
		}
	}
	fmt.Fprintf(b, "# %s\n", e.title)
	lines("<", e.old)
	lines(">", e.with)
	fmt.Fprintf(b, "%s\n\n", strings.Join(said, "\n"))
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Package readme holds the README and the documents to what the program does: their configuration
// parses, their commands exist with the flags shown, their links lead somewhere.
package readme

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/solevip/solevip/config"
)

const root = "../.."

// documents are the texts that users read.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range append(paths, filepath.Join(root, "README.md")) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(path, root+"/")] = string(b)
	}
	return out
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")

// blocks are the code blocks of a language.
func blocks(text, language string) []string {
	var out []string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

func TestREADMEIsShort(t *testing.T) {
	if n := strings.Count(documents(t)["README.md"], "\n"); n >= 120 {
		t.Errorf("README.md has %d lines, want fewer than 120", n)
	}
}

func TestConfigurationWorksWhenPasted(t *testing.T) {
	for name, text := range documents(t) {
		for _, b := range blocks(text, "yaml") {
			if !strings.Contains(b, "cluster:") || !strings.Contains(b, "groups:") {
				continue // a part of a file
			}
			if _, err := config.Parse(name, []byte(b), config.Options{}); err != nil {
				t.Errorf("%s: %v\n%s", name, err, b)
			}
		}
	}
	if b := blocks(documents(t)["README.md"], "yaml"); len(b) != 1 || b[0] != string(config.Example) {
		t.Error("README.md does not show config/example.yaml as it is")
	}
}

// TestCommandsExist runs every solevip command that the documents show with --help in the place of
// its positional arguments, so that an unknown verb or flag fails.
func TestCommandsExist(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "solevip")
	if out, err := exec.Command("go", "build", "-o", bin, root+"/cmd/solevip").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	seen := 0
	for name, text := range documents(t) {
		for _, b := range blocks(text, "") {
			for line := range strings.Lines(b) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
				args := words(line)
				if len(args) == 0 || args[0] != "solevip" {
					continue
				}
				seen++
				out, err := exec.Command(bin, append(args[1:], "--help")...).CombinedOutput()
				verb := strings.Join(args[:min(len(args), 2)], " ")
				if err != nil || !bytes.Contains(out, []byte(verb)) {
					t.Errorf("%s: %s: %v\n%s", name, line, err, out)
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d commands were found in the documents: the test looks in the wrong place", seen)
	}
}

// words splits a command line at spaces outside quotes, up to a pipe.
func words(line string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		if m[0] == "|" {
			break
		}
		out = append(out, m[1]+m[2])
	}
	return out
}

func TestMakeTargetsExist(t *testing.T) {
	for name, text := range documents(t) {
		for _, b := range blocks(text, "") {
			for _, m := range regexp.MustCompile(`(?m)^make ([a-z]+)`).FindAllStringSubmatch(b, -1) {
				if out, err := exec.Command("make", "-n", "-C", root, m[1]).CombinedOutput(); err != nil {
					t.Errorf("%s: make %s: %v\n%s", name, m[1], err, out)
				}
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", name, m[1], err)
			}
		}
	}
}

// TestSafetyNamesEveryGuarantee keeps the six guarantees in the document that opens with them.
func TestSafetyNamesEveryGuarantee(t *testing.T) {
	text := documents(t)["docs/safety.md"]
	at := []int{}
	for _, g := range []string{"**G1 ", "**G2 ", "**G3 ", "**G4 ", "**G5 ", "**G6 "} {
		at = append(at, strings.Index(text, g))
	}
	if slices.Contains(at, -1) || !slices.IsSorted(at) {
		t.Errorf("docs/safety.md: the guarantees G1 to G6 are at %v", at)
	}
}

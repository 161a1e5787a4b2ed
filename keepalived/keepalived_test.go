package keepalived

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/config"
)

var rewrite = flag.Bool("rewrite", false, "write what is found into testdata")

// stories are what operators have, and what they get: testdata/NAME has the files, NAME.yaml what is written, NAME.txt the report.
var stories = map[string][]Source{
	"pair":     {{Path: "testdata/pair/lb1.conf"}, {Path: "testdata/pair/lb2.conf"}},
	"sync":     {{Path: "testdata/sync/a.conf"}, {Path: "testdata/sync/b.conf"}},
	"template": {{Path: "testdata/template/keepalived.conf"}},
	"include":  {{Path: "testdata/include/keepalived.conf"}},
	"unicast":  {{Path: "testdata/unicast/keepalived.conf"}},
	"tracks":   {{Path: "testdata/tracks/a.conf"}, {Path: "testdata/tracks/b.conf"}},
	"broken":   {{Path: "testdata/broken/keepalived.conf"}},
}

func TestStories(t *testing.T) {
	for name, sources := range stories {
		t.Run(name, func(t *testing.T) {
			res, err := Import(sources, Options{Host: "thishost"})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".yaml", string(res.File))
			golden(t, name+".txt", report(res))
			sound(t, string(res.File))
			for _, secret := range []string{"s3cr3t", "hidden"} {
				if strings.Contains(string(res.File)+report(res), secret) {
					t.Errorf("a password is told")
				}
			}
		})
	}
}

// TestRaised does what the file says: it takes the # from the lines in which a key follows it, and removes those that they stand for.
func TestRaised(t *testing.T) {
	for name, sources := range stories {
		t.Run(name, func(t *testing.T) {
			res, err := Import(sources, Options{Host: "thishost"})
			if err != nil {
				t.Fatal(err)
			}
			sound(t, raise(string(res.File)))
		})
	}
}

var (
	lower  = regexp.MustCompile(`(?m)^( +protection: vrrp| +preempt: true| +preempt_delay: .*| +weight: .*|    [^ #:]+: \{\})\n`)
	raised = regexp.MustCompile(`(?m)^( *)#([A-Za-z"]|  )`)
)

func raise(file string) string {
	return raised.ReplaceAllString(lower.ReplaceAllString(file, ""), "$1$2")
}

func TestRaiseReallyRaises(t *testing.T) {
	res, err := Import(stories["pair"], Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, raise(string(res.File)))
	if c.Groups[0].Protection != config.ProtectFence || len(c.Fencing) != 2 || len(c.Cluster.Nodes) != 3 {
		t.Errorf("%+v", c)
	}
}

// TestDebianSamples imports the samples that keepalived comes with: all with virtual routers on IPv4 become a file that is right.
func TestDebianSamples(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/keepalived/samples/keepalived.conf.*")
	if len(files) == 0 {
		t.Skip("Debian's package keepalived is not installed")
	}
	imported := 0
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			res, err := Import([]Source{{Path: f}}, Options{Host: "h"})
			for _, n := range res.Notes {
				if n.Fate == Unknown && !strings.HasSuffix(f, "lvs_syncd") { // its sync group has no group { }
					t.Errorf("%v", n)
				}
			}
			if errors.Is(err, ErrNothing) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			imported++
			sound(t, string(res.File))
			sound(t, raise(string(res.File)))
		})
	}
	if imported < 8 {
		t.Errorf("only %d of %d samples were imported", imported, len(files))
	}
}

// TestEveryKeywordIsKnown writes each keyword of the tables, and a misspelt one, where it belongs.
func TestEveryKeywordIsKnown(t *testing.T) {
	var b strings.Builder
	b.WriteString("global_defs {\n")
	for k := range globalRules {
		fmt.Fprintf(&b, "%s\n", k)
	}
	b.WriteString("rooter_id x\n}\nvrrp_instance V {\n")
	for k := range instanceRules {
		fmt.Fprintf(&b, "%s\n", k)
	}
	b.WriteString("virtual_router_id 1\nvirtual_ipaddress {\n192.0.2.1\n}\nvirtual_ipadress {\n192.0.2.2\n}\n}\n")
	res, err := Import([]Source{{Path: "f"}}, memory(map[string]string{"f": b.String()}))
	if err != nil {
		t.Fatal(err)
	}
	var unknown []string
	for _, n := range res.Notes {
		if n.Fate == Unknown {
			unknown = append(unknown, n.Keyword)
		}
		if n.Text == "" || n.Line == 0 && n.Keyword != "node" {
			t.Errorf("a note that says nothing: %+v", n)
		}
	}
	if diff := cmp.Diff([]string{"rooter_id", "virtual_ipadress"}, unknown); diff != "" {
		t.Error(diff)
	}
	sound(t, string(res.File))
}

func TestFilesThatMultiply(t *testing.T) {
	for name, text := range map[string]string{
		"sequences in sequences":   "~SEQ(A,1,9999) ~SEQ(B,1,9999) ~SEQ(C,1,9999) x ${A} ${B} ${C}",
		"a macro that doubles":     "$A=x x\n" + strings.Repeat("$A=${A} ${A}\n", 3) + "${A}",
		"a file that has itself":   "include f",
		"twice, and that twice":    "include f\ninclude f",
		"blocks in blocks":         strings.Repeat("a {\n", 100_000),
		"a macro with itself":      "$A=${A}\n${A}",
		"macros that have another": "$A=$B\n$B=$A\n$A",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Import([]Source{{Path: "f"}}, memory(map[string]string{"f": text}))
			if err == nil {
				t.Error("something was imported")
			}
		})
	}
}

// FuzzImport: nothing panics, nothing takes for ever, and what is written is always a file that solevip takes, as it is and raised.
func FuzzImport(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.conf")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), "")
		f.Add(string(b), string(b))
	}
	f.Add("~LST({A,B},{1,2}) ${A} {\n", "$A= \\\n${B} \\\n}")
	f.Fuzz(func(t *testing.T, one, two string) {
		if len(one)+len(two) > 20_000 {
			return
		}
		o := memory(map[string]string{"one.conf": one, "two.conf": two})
		sources := []Source{{Path: "one.conf"}}
		if two != "" {
			sources = append(sources, Source{Path: "two.conf"})
		}
		res, err := Import(sources, o)
		if err != nil || len(res.File) > 60_000 { // the configuration's own limit
			return
		}
		sound(t, string(res.File))
	})
}

// memory is a file system of a few files.
func memory(files map[string]string) Options {
	return Options{
		Read: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range files {
				if ok, err := filepath.Match(pattern, name); err != nil {
					return nil, err
				} else if ok {
					out = append(out, name)
				}
			}
			return out, nil
		},
	}
}

func report(res Result) string {
	var b strings.Builder
	for _, n := range res.Notes {
		fmt.Fprintln(&b, n)
	}
	return b.String()
}

// sound wants a file that solevip check takes.
func sound(t *testing.T, file string) {
	t.Helper()
	load(t, file)
}

func load(t *testing.T, file string) config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "solevip.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Options{Files: config.WarnFiles})
	if bad, ok := errors.AsType[config.Errors](err); ok {
		for _, p := range bad {
			t.Error(p.String())
		}
		t.Fatalf("the file is not right:\n%s", file)
	} else if err != nil {
		t.Fatal(err)
	}
	return c
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Package keepalived reads the configuration of keepalived, of one router or of several, and writes
// the one file of solevip that does the same: groups with protection vrrp, which is what they were.
//
// It owns keepalived's configuration language (includes, macros, conditionals, sequences, quotes,
// comments, blocks), its keywords, and what becomes of each: mapped, changed, or dropped, told with
// file and line. A keyword that it doesn't know is named; nothing is lost in silence. It knows
// keys of solevip's file as text only, and runs nothing. Passwords are neither written nor told.
package keepalived

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is the configuration of one router.
type Source struct {
	Path string
	// ID is keepalived's config-id (its option -i), which @conditions are about. Empty: every id that
	// the file has a condition on is a router of its own.
	ID string
}

// Options are where files come from. The zero value is the file system.
type Options struct {
	Read func(path string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
	// Host names the router of a lone file that has no router_id.
	Host string
}

// Place is where something stands.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1; 0: the file as a whole
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Fate is what became of a statement.
type Fate string

// The fates, best first.
const (
	Mapped  Fate = "mapped"  // a key of solevip's file says the same
	Changed Fate = "changed" // solevip does something else in its place, or a value was adapted
	Dropped Fate = "dropped" // nothing stands for it
	Unknown Fate = "unknown" // not a keyword of keepalived, as far as known here
)

// Note tells the fate of one statement.
type Note struct {
	Place
	Fate    Fate   `json:"fate"`
	Keyword string `json:"keyword"`
	Text    string `json:"text"` // the key that it is mapped to, or the consequence
}

func (n Note) String() string {
	return fmt.Sprintf("%v: %s: %s: %s", n.Place, n.Fate, n.Keyword, n.Text)
}

// Result is what an import makes.
type Result struct {
	File  []byte // solevip's file; nil when there is no group to write
	Notes []Note // in the order of the sources and lines
	Nodes int
	Group int
}

// ErrNothing says that no virtual router could be imported; the notes say why.
var ErrNothing = errors.New("there is no virtual router that solevip could take over")

// Import reads the routers and writes one file for all of them. An error is about a file that
// can't be read or makes no sense as a whole; whatever is wrong within is a note.
func Import(sources []Source, o Options) (Result, error) {
	o = o.withDefaults()
	log := &journal{}
	var routers []*router
	for _, s := range sources {
		ids := []string{s.ID}
		if s.ID == "" {
			found, err := conditions(s.Path, o)
			if err != nil {
				return Result{}, err
			}
			if len(found) > 0 {
				ids = found
			}
		}
		for _, id := range ids {
			r, err := readRouter(Source{s.Path, id}, o, log)
			if err != nil {
				return Result{Notes: log.notes}, err
			}
			routers = append(routers, r)
		}
	}
	nameRouters(routers, o.Host, log)
	c := merge(routers, log)
	res := Result{Notes: log.sorted(sources), Nodes: len(c.nodes), Group: len(c.groups)}
	if len(c.groups) == 0 {
		return res, ErrNothing
	}
	res.File = c.write()
	return res, nil
}

func (o Options) withDefaults() Options {
	if o.Read == nil {
		o.Read = readFile
	}
	if o.Glob == nil {
		o.Glob = filepath.Glob
	}
	return o
}

// maxFile is more than any configuration that a person or a template makes.
const maxFile = 4 << 20

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file but %v", path, info.Mode().Type())
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

// journal collects the notes. The same note about the same place is one: a macro that is used a hundred
// times stands in one place.
type journal struct {
	notes []Note
	seen  map[Note]bool
}

func (j *journal) add(p Place, f Fate, keyword, text string) {
	n := Note{p, f, clean(keyword), clean(text)}
	if j.seen[n] {
		return
	}
	if j.seen == nil {
		j.seen = map[Note]bool{}
	}
	j.seen[n] = true
	j.notes = append(j.notes, n)
}

// sorted puts the notes in the order of the sources, and within a file in that of its lines.
func (j *journal) sorted(sources []Source) []Note {
	rank := map[string]int{}
	for i, s := range sources {
		if _, ok := rank[s.Path]; !ok {
			rank[s.Path] = i - len(sources)
		}
	}
	slices.SortStableFunc(j.notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(rank[a.File], rank[b.File]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return j.notes
}

// clean makes a text fit for one line: what a file holds must not reach a terminal, or a YAML comment, as control
// characters.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, s)
}

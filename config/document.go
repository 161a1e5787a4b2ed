package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxBytes is the size of the largest file that is read.
const maxBytes = 1 << 20

// mark is a place in the file.
type mark struct{ line, column int }

// document is a file on its way to becoming a Config: where everything stands, and what was
// found wrong so far.
type document struct {
	file     string
	marks    map[string]mark // by path: where the value stands, or the key of one that has none
	wrongs   []Problem
	warnings []Problem
}

// where finds the place of a path or, for one that isn't in the file, of the nearest that is.
func (d *document) where(path string) mark {
	for {
		if m, ok := d.marks[path]; ok {
			return m
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return mark{1, 1}
		}
		path = path[:i]
	}
}

// mentions reports whether the file has a key, rightly or wrongly filled.
func (d *document) mentions(path string) bool {
	_, ok := d.marks[path]
	return ok
}

func (d *document) problem(m mark, path, what, hint string) Problem {
	return Problem{File: d.file, Line: m.line, Column: m.column, Key: path, What: what, Hint: hint}
}

// wrong notes a mistake at a path.
func (d *document) wrong(path, what, hint string) {
	d.wrongs = append(d.wrongs, d.problem(d.where(path), path, what, hint))
}

// wrongAt notes a mistake at a place that has no path of its own.
func (d *document) wrongAt(n *yaml.Node, path, what, hint string) {
	d.wrongs = append(d.wrongs, d.problem(mark{n.Line, n.Column}, path, what, hint))
}

// doubt notes something that is allowed and yet doubtful.
func (d *document) doubt(path, what, hint string) {
	d.warnings = append(d.warnings, d.problem(d.where(path), path, what, hint))
}

// parse reads the one YAML document of a file; nil when there is none to look at.
func (d *document) parse(b []byte) *yaml.Node {
	if len(b) > maxBytes {
		d.wrong("", fmt.Sprintf("the file has %d bytes, more than %d", len(b), maxBytes), "is this the right file?")
		return nil
	}
	if m, ok := notText(b); ok {
		d.wrongs = append(d.wrongs, d.problem(m, "", "the file is not UTF-8 text", "save it as UTF-8"))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		d.wrong("", "the file is empty", "start from the example in docs/configuration.md")
		return nil
	} else if err != nil {
		d.wrongs = append(d.wrongs, d.syntax(b, err))
		return nil
	}
	if err := dec.Decode(&next); err == nil {
		d.wrongAt(&next, "", "a second document begins", "keep one, and remove the line ---")
	} else if !errors.Is(err, io.EOF) {
		d.wrongs = append(d.wrongs, d.syntax(b, err))
	}
	return doc.Content[0]
}

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// syntax tells where the text stops being YAML.
func (d *document) syntax(b []byte, err error) Problem {
	at, what := mark{line: 1}, err.Error()
	if m := yamlError.FindStringSubmatch(what); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			at.line = max(n, 1)
		}
		what = m[2]
	}
	hint := "check the indentation, the colons and the brackets from here upwards"
	if strings.HasPrefix(what, "unknown anchor") {
		what, hint = "an alias (*) is not supported", "write the value out, in quotes if it begins with *"
	} else if m, ok := tabbed(b); ok {
		at, hint = m, "indent with spaces: YAML allows no tabs"
	}
	return d.problem(at, "", "not YAML: "+what, hint)
}

// notText finds the first byte that is not UTF-8 text.
func notText(b []byte) (mark, bool) {
	m := mark{1, 1}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r == 0 {
			return m, true
		}
		m.column++
		if r == '\n' {
			m = mark{m.line + 1, 1}
		}
		b = b[n:]
	}
	return m, false
}

// tabbed finds the first line that is indented with a tab.
func tabbed(b []byte) (mark, bool) {
	for i, line := range strings.Split(string(b), "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && len(indent) < len(line) {
			return mark{i + 1, tab + 1}, true
		}
	}
	return mark{}, false
}

package keepalived

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Limits against files that multiply themselves: a sequence in a sequence makes any number of lines.
const (
	maxLines = 50_000
	maxWork  = 32 << 20 // bytes that are looked at
	maxDepth = 40       // of includes, and of macros in macros
	maxBytes = 8 << 20
)

// What a line, and opening a file, cost at least, in the coin of maxWork.
const (
	lineCost    = 64
	includeCost = 4 << 10
)

var errTooMuch = fmt.Errorf("the configuration comes to more than %d lines or %d bytes when its macros and sequences are written out", maxLines, maxBytes)

// line is one line as keepalived's parser sees it: included, chosen, substituted.
type line struct {
	text string
	at   Place
}

// reader turns a file into lines. A line is handled in keepalived's order: comment, include,
// condition, definition, sequence, substitution.
type reader struct {
	o      Options
	id     string
	macros map[string]string
	lines  []line
	bytes  int
	work   int
	log    *journal

	ids *[]string // when set: only collect the ids of conditions
}

// conditions lists the ids that a file has conditions on, in order.
func conditions(path string, o Options) ([]string, error) {
	var ids []string
	r := &reader{o: o, macros: map[string]string{}, log: &journal{}, ids: &ids}
	if err := r.file(path, 0); err != nil && !errors.Is(err, errTooMuch) {
		return nil, err
	}
	return ids, nil
}

func (r *reader) file(path string, depth int) error {
	b, err := r.o.Read(path)
	if err != nil {
		return fmt.Errorf("keepalived configuration: %w", err)
	}
	pwd := r.macros["_PWD"]
	r.macros["_PWD"] = filepath.Dir(path)
	defer func() { r.macros["_PWD"] = pwd }()
	raw := strings.Split(strings.ReplaceAll(strings.ToValidUTF8(string(b), "?"), "\r", ""), "\n")
	for i := 0; i < len(raw); i++ {
		at := Place{path, i + 1}
		text := strings.TrimSpace(uncomment(raw[i]))
		if text == "" {
			continue
		}
		if _, _, ok := definition(strings.TrimSpace(condition.ReplaceAllString(text, ""))); ok {
			for strings.HasSuffix(text, `\`) && i+1 < len(raw) {
				i++
				next := strings.TrimSpace(uncomment(raw[i]))
				if next == "" { // keepalived's reader doesn't see empty lines at all
					continue
				}
				text = strings.TrimSuffix(text, `\`) + "\n" + next
			}
			text = strings.TrimSuffix(text, `\`)
		}
		if err := r.line(text, at, depth, 0); err != nil {
			return err
		}
	}
	return nil
}

var (
	condition = regexp.MustCompile(`^@([!^]?)(\S+)\s*`)
	include   = regexp.MustCompile(`^include([rmwba]?)\s+(\S.*)$`)
	define    = regexp.MustCompile(`(?s)^\$([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
)

// definition splits $NAME=VALUE.
func definition(text string) (name, value string, ok bool) {
	m := define.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return m[1], strings.TrimLeft(strings.TrimSpace(m[2]), "\n"), true
}

// line handles one line, or what a macro makes of it.
func (r *reader) line(text string, at Place, files, depth int) error {
	if r.work += len(text) + lineCost; r.work > maxWork {
		return errTooMuch
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	if depth > maxDepth {
		r.log.add(at, Dropped, first(text), "macros stand in macros too deep; the line is left out")
		return nil
	}
	if m := include.FindStringSubmatch(text); m != nil {
		return r.include(m[2], m[1], at, files)
	}
	if m := condition.FindStringSubmatch(text); m != nil {
		if r.ids != nil && m[2] != "" && !slices.Contains(*r.ids, m[2]) && len(*r.ids) < 64 {
			*r.ids = append(*r.ids, m[2])
		}
		if r.ids == nil && (m[2] == r.id) == (m[1] != "") {
			return nil
		}
		return r.line(text[len(m[0]):], at, files, depth+1)
	}
	if name, value, ok := definition(text); ok {
		r.macros[name] = value
		return nil
	}
	if strings.HasPrefix(text, "~SEQ") || strings.HasPrefix(text, "~LST") {
		return r.sequence(text, at, files, depth)
	}
	full, changed := r.substitute(text, at)
	if changed {
		for l := range strings.SplitSeq(full, "\n") {
			if err := r.line(l, at, files, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if r.bytes += len(text); len(r.lines) >= maxLines || r.bytes > maxBytes {
		return errTooMuch
	}
	if r.ids == nil {
		r.lines = append(r.lines, line{unhash.Replace(text), at})
	}
	return nil
}

// unhash makes what would have begun a comment.
var unhash = strings.NewReplacer("${_HASH}", "#", "${_BANG}", "!")

func (r *reader) include(pattern, strict string, at Place, files int) error {
	pattern = strings.Trim(pattern, `"'`)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(at.File), pattern)
	}
	if files >= maxDepth {
		r.log.add(at, Dropped, "include", "files include each other too deep")
		return nil
	}
	var paths []string
	for _, p := range braces(pattern) {
		found, err := r.o.Glob(p)
		if err != nil {
			r.log.add(at, Dropped, "include", fmt.Sprintf("%s is no pattern: %v", p, err))
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		r.log.add(at, Dropped, "include"+strict, "no file is found here for "+pattern+": what it says on the router is missing below")
	}
	for _, p := range paths {
		if r.work += includeCost; r.work > maxWork {
			return errTooMuch
		}
		if err := r.file(p, files+1); errors.Is(err, errTooMuch) {
			return err
		} else if err != nil {
			r.log.add(at, Dropped, "include"+strict, err.Error())
		}
	}
	return nil
}

// braces writes out csh's {a,b} in a pattern.
func braces(p string) []string {
	out := []string{p}
	for i := 0; i < len(out) && len(out) < 256; i++ {
		for {
			open := strings.LastIndex(out[i], "{")
			if open < 0 {
				break
			}
			end := strings.Index(out[i][open:], "}")
			if end < 0 || len(out) >= 256 {
				break
			}
			head, body, tail := out[i][:open], out[i][open+1:open+end], out[i][open+end+1:]
			words := strings.Split(body, ",")
			out[i] = head + words[0] + tail
			for _, w := range words[1:] {
				out = append(out, head+w+tail)
			}
		}
	}
	return out
}

// uncomment cuts what follows # or ! outside quotes. A ! right after the @ of a condition negates it.
func uncomment(s string) string {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '!' && i > 0 && s[i-1] == '@' && strings.TrimSpace(s[:i-1]) == "":
		case c == '#' || c == '!':
			return s[:i]
		}
	}
	return s
}

// first is the first word of a line.
func first(s string) string {
	w, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return w
}

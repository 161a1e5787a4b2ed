package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Expression says when an answer means off.
type Expression struct {
	path    []string // names and array indices; none: the whole text
	want    any      // string, bool or json.Number, when pattern is nil
	pattern *regexp.Regexp
}

// ParseExpression reads one of
//
//	PATH = VALUE     the answer is JSON, and the value at PATH equals VALUE
//	PATH ~ REGEXP    the answer is JSON, and REGEXP matches the text at PATH
//	~ REGEXP         REGEXP matches the answer as text
//
// PATH is names separated by dots, with the number of an element in brackets or between dots:
// power.state, outlets[4].on, outlets.4.on. VALUE is a JSON string, number, true or false; a bare
// word is a string. So `state = off` is "off", while `on = false` and `on = "false"` differ, and
// comparing is exact. REGEXP is in the syntax of package regexp and not anchored; the rest of the
// expression belongs to it, spaces at its ends excepted.
//
// A value of the right kind that is another, or a text that doesn't match, means on. All else
// (no JSON, no such path, another kind of value, nothing at all) is unknown.
func ParseExpression(text string) (Expression, error) {
	at := strings.IndexAny(text, "=~")
	if at < 0 {
		return Expression{}, fmt.Errorf("%q: want PATH = VALUE, PATH ~ REGEXP or ~ REGEXP", text)
	}
	left, right := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+1:])
	var e Expression
	var err error
	switch {
	case right == "":
		return e, fmt.Errorf("%q: nothing after %c", text, text[at])
	case left == "" && text[at] == '=':
		return e, fmt.Errorf("%q: no path before =", text)
	case left != "":
		if e.path, err = parsePath(left); err != nil {
			return Expression{}, fmt.Errorf("%q: path %q: %w", text, left, err)
		}
	}
	if text[at] == '~' {
		e.pattern, err = regexp.Compile(right)
	} else {
		e.want, err = parseValue(right)
	}
	if err != nil {
		return Expression{}, fmt.Errorf("%q: %w", text, err)
	}
	return e, nil
}

var segment = regexp.MustCompile(`^[^.\[\]\s"]+$`)

func parsePath(text string) ([]string, error) {
	text = strings.TrimPrefix(text, "$.") // as JSONPath writes it
	var path []string
	for part := range strings.SplitSeq(text, ".") {
		name, rest, indexed := strings.Cut(part, "[")
		if name != "" || !indexed {
			path = append(path, name)
		}
		for indexed {
			var index string
			var closed bool
			index, rest, closed = strings.Cut(rest, "]")
			if _, err := strconv.ParseUint(index, 10, 31); err != nil || !closed {
				return nil, errors.New("brackets hold the number of an element, as in outlets[4]")
			}
			path = append(path, index)
			if rest == "" {
				break
			}
			if rest, indexed = strings.CutPrefix(rest, "["); !indexed {
				return nil, errors.New("a dot is missing after ]")
			}
		}
	}
	for _, s := range path {
		if !segment.MatchString(s) {
			return nil, fmt.Errorf("%q isn't a name", s)
		}
	}
	return path, nil
}

// parseValue reads the right-hand side of =.
func parseValue(text string) (any, error) {
	v, err := decode([]byte(text))
	if err != nil {
		if strings.ContainsAny(text, "\"{}[]=~ \t") {
			return nil, fmt.Errorf("value %s isn't JSON; a text with spaces or signs stands in quotes", text)
		}
		return text, nil
	}
	if kind(v) == "" {
		return nil, fmt.Errorf("value %s proves nothing; want a string, a number, true or false", text)
	}
	return v, nil
}

// decode reads exactly one JSON value and keeps numbers as written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// kind names what can be compared; the rest has none.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	}
	return ""
}

// Match reports whether the answer says off. An error means that it says nothing.
func (e Expression) Match(answer []byte) (off bool, err error) {
	if len(bytes.TrimSpace(answer)) == 0 {
		return false, errors.New("empty")
	}
	if len(e.path) == 0 {
		return e.pattern.Match(answer), nil
	}
	v, err := decode(answer)
	if err != nil {
		return false, fmt.Errorf("not JSON: %w", err)
	}
	path := strings.Join(e.path, ".")
	for i, name := range e.path {
		if v, err = descend(v, name); err != nil {
			return false, fmt.Errorf("at %s: %w", strings.Join(e.path[:i+1], "."), err)
		}
	}
	if kind(v) == "" {
		return false, fmt.Errorf("at %s: no string, number, true or false", path)
	}
	if e.pattern != nil {
		return e.pattern.MatchString(fmt.Sprint(v)), nil
	}
	if kind(v) != kind(e.want) {
		return false, fmt.Errorf("at %s: %s, not %s", path, kind(v), kind(e.want))
	}
	return equal(v, e.want), nil
}

func descend(v any, name string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if in, ok := v[name]; ok {
			return in, nil
		}
		return nil, errors.New("no such name")
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(v) {
			return nil, fmt.Errorf("no such element among %d", len(v))
		}
		return v[i], nil
	}
	return nil, errors.New("nothing inside")
}

// equal compares values of one kind; numbers by value, so that 0 is 0.0.
func equal(a, b any) bool {
	x, isNumber := a.(json.Number)
	if !isNumber {
		return a == b
	}
	f, err1 := x.Float64()
	g, err2 := b.(json.Number).Float64()
	return err1 == nil && err2 == nil && f == g
}

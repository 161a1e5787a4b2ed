package keepalived

import (
	"regexp"
	"strconv"
	"strings"
)

// A macro without braces ends at white space or the end of the line.
var use = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)((?: +[0-9]+){0,2})\}|\$([A-Za-z_][A-Za-z0-9_]*)(?:\s|$)`)

// substitute fills in the macros that are defined; one that isn't stays as it is, as in keepalived.
func (r *reader) substitute(text string, at Place) (string, bool) {
	var out strings.Builder
	changed := false
	for text != "" {
		m := use.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		name, end := "", m[1]
		if m[2] >= 0 {
			name = text[m[2]:m[3]]
		} else {
			name = text[m[6]:m[7]]
			end = m[7] // the white space stays
		}
		value, ok := r.macros[name]
		switch name {
		case "_INSTANCE":
			value, ok = r.id, r.id != ""
		case "_RANDOM":
			value, ok = "0", true
			if m[2] >= 0 && m[5] > m[4] {
				value = strings.Fields(text[m[4]:m[5]])[0]
			}
			r.log.add(at, Changed, "_RANDOM", "the least of the numbers is taken: one file is for every node")
		}
		out.WriteString(text[:m[0]])
		if ok {
			out.WriteString(value)
			changed = true
		} else {
			out.WriteString(text[m[0]:end])
		}
		text = text[end:]
		if out.Len() > maxFile {
			r.work = maxWork // the next line ends it
			return "", true
		}
	}
	out.WriteString(text)
	return out.String(), changed
}

// sequence handles ~SEQ(var, start, step, end) and ~LST(var, values...), with the rest of the line for each value.
func (r *reader) sequence(text string, at Place, files, depth int) error {
	open, end := strings.Index(text, "("), strings.Index(text, ")")
	if open < 0 || end < open {
		r.log.add(at, Dropped, first(text), "is not a sequence; the line is left out")
		return nil
	}
	head, rest := text[:open], text[end+1:]
	args, _ := r.substitute(text[open+1:end], at)
	var rows []map[string]string
	switch head {
	case "~SEQ", "~SEQx":
		rows = counted(args, head == "~SEQx")
	case "~LST":
		rows = listed(args)
	}
	if len(rows) == 0 {
		r.log.add(at, Dropped, head, "is not a sequence that can be written out; the line is left out")
		return nil
	}
	for _, row := range rows {
		for name, value := range row {
			r.macros[name] = value
		}
		if err := r.line(rest, at, files, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// counted are the rows of ~SEQ: (var, end), (var, start, end) or (var, start, step, end).
func counted(args string, hex bool) []map[string]string {
	words := strings.Split(args, ",")
	if len(words) < 2 || len(words) > 4 {
		return nil
	}
	var n []int64
	for _, w := range words[1:] {
		v, err := strconv.ParseInt(strings.TrimSpace(w), 0, 32)
		if err != nil {
			return nil
		}
		n = append(n, v)
	}
	last := n[len(n)-1]
	start, step := int64(1), int64(1)
	if last < 0 {
		start = -1
	}
	if len(n) > 1 {
		start = n[0]
	}
	if last < start {
		step = -1
	}
	if len(n) == 3 {
		step = n[1]
	}
	if step == 0 || (last-start)/step > maxLines {
		return nil
	}
	base := 10
	if hex {
		base = 16
	}
	var rows []map[string]string
	for v := start; step > 0 && v <= last || step < 0 && v >= last; v += step {
		rows = append(rows, map[string]string{strings.TrimSpace(words[0]): strconv.FormatInt(v, base)})
	}
	return rows
}

// listed are the rows of ~LST: (var, a, b) or ({var, var}, {a, b}, {c, d}).
func listed(args string) []map[string]string {
	var items [][]string
	for args = strings.TrimSpace(args); args != ""; args = strings.TrimLeft(args, ", \t") {
		if inner, rest, ok := strings.Cut(args, "}"); ok && args[0] == '{' {
			items = append(items, fields(inner[1:]))
			args = rest
			continue
		}
		one, rest, _ := strings.Cut(args, ",")
		items = append(items, []string{strings.TrimSpace(one)})
		args = rest
	}
	if len(items) < 2 {
		return nil
	}
	var rows []map[string]string
	for _, item := range items[1:] {
		row := map[string]string{}
		for i, name := range items[0] {
			if i < len(item) {
				row[name] = item[i]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func fields(s string) []string {
	words := strings.Split(s, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

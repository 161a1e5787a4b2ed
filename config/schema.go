package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is one key of the schema, as its tags describe it.
type field struct {
	key      string
	kind     reflect.Type
	def      string // the default as YAML; empty: none
	computed string
	hint     string
	short    string
	entry    string
	words    []string
	low, top string // the range; empty: none
	required bool
	plain    bool // a text that may be written as a number, or as true or false
}

// fieldsOf lists the keys of a struct, in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("mapstructure")
		if key == "-" {
			continue
		}
		low, top := limitsOf(f.Tag.Get("range"))
		fs = append(fs, field{
			key: key, kind: f.Type, low: low, top: top,
			def: f.Tag.Get("default"), computed: f.Tag.Get("computed"), hint: f.Tag.Get("hint"),
			short: f.Tag.Get("short"), entry: f.Tag.Get("entry"), words: strings.Fields(f.Tag.Get("oneof")),
			required: f.Tag.Get("required") != "", plain: f.Tag.Get("plain") != "",
		})
	}
	return fs
}

// limitsOf splits a range, of which the least may be negative.
func limitsOf(tag string) (low, top string) {
	sign := ""
	if strings.HasPrefix(tag, "-") {
		sign, tag = "-", tag[1:]
	}
	low, top, _ = strings.Cut(tag, "-")
	return sign + low, top
}

// nameKey is the field of an entry that holds its name in the file: what stands before the colon.
const nameKey = "name"

// keysOf lists the keys that a mapping may have. An entry's name is not one of them.
func keysOf(t reflect.Type, entry bool) []field {
	fs := fieldsOf(t)
	if entry {
		fs = fs[1:] // by convention the first
	}
	return fs
}

// item is the field for one item of a list, or one value of a mapping.
func (f field) item() field {
	f.kind, f.def, f.computed, f.required, f.short = f.kind.Elem(), "", "", false, ""
	return f
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	addrType     = reflect.TypeFor[netip.Addr]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// leaf reports whether values of the type are written as one scalar.
func leaf(t reflect.Type) bool {
	switch t {
	case durationType, addrType, prefixType:
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Map:
		return false
	}
	return true
}

// Key describes one key of the file, for the reference.
type Key struct {
	Path    string // groups.GROUP.instances[].vrid
	Type    string
	Default string // "required", the default, or how it is computed; empty: none
}

// Keys lists every key that a file may have, in the order of the schema.
func Keys() []Key { return keysUnder(reflect.TypeFor[Config](), "", false) }

func keysUnder(t reflect.Type, path string, entry bool) []Key {
	var ks []Key
	for _, f := range keysOf(t, entry) {
		p := join(path, f.key)
		k := Key{Path: p, Type: f.describe(), Default: f.def}
		switch {
		case f.required:
			k.Default = "required"
		case f.computed != "":
			k.Default = f.computed
		}
		ks = append(ks, k)
		inner, p := f.kind, p
		if f.entry != "" {
			p = join(p, f.entry)
		}
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice && f.entry == "" {
				p += "[]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !leaf(inner) {
			ks = append(ks, keysUnder(inner, p, f.entry != "")...)
		}
	}
	return ks
}

// describe names the kind of value in the operator's words, with its limits.
func (f field) describe() string {
	switch {
	case f.kind == durationType:
		return "duration" + f.limits()
	case f.kind == addrType:
		return "IP address"
	case f.kind == prefixType:
		return "address/length"
	case len(f.words) > 0:
		return strings.Join(f.words, ", ")
	}
	switch f.kind.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		if f.isPath() {
			return "absolute path"
		}
		return "text"
	case reflect.Slice:
		if f.entry != "" {
			return "mapping by " + f.entry
		}
		return "list of " + f.item().describe()
	case reflect.Map:
		of := f.item()
		of.entry = ""
		d := "mapping by " + f.entry + " of " + of.describe()
		if f.short != "" {
			return of.describe() + ", or " + d
		}
		return d
	case reflect.Pointer, reflect.Struct:
		if f.short != "" {
			return "absolute path, or mapping"
		}
		return "mapping"
	}
	return "number" + f.limits()
}

// isPath reports whether the text is the path of a file.
func (f field) isPath() bool {
	return strings.HasSuffix(f.key, "_file") || slices.Contains([]string{"path", "ca", "cert", "key"}, f.key)
}

func (f field) limits() string {
	if f.low == "" {
		return ""
	}
	return " " + f.low + " to " + f.top
}

// join adds a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The walk goes through the YAML and the schema together. It notes where each value stands and
// what is wrong with its shape, fills in defaults, and builds the tree that viper decodes. Entries
// become lists and the leaves typed values, because viper lower-cases the keys of mappings, takes
// a bare 100 for 100 ns, and drops an unknown key whose value is empty.

// value reads one value of the schema; false when it is wrong, which has then been noted.
func (d *document) value(n *yaml.Node, f field, path string) (any, bool) {
	if _, ok := d.marks[path]; !ok {
		d.marks[path] = mark{n.Line, n.Column}
	}
	switch {
	case n.Kind == yaml.AliasNode:
		d.wrongAt(n, path, "an alias (*) is not supported", "write the value out")
		return nil, false
	case n.Tag == "!!null":
		d.wrong(path, "has no value", or(f.hint, "give it one, or remove the key"))
		return nil, false
	case leaf(f.kind):
		return d.leaf(n, f, path)
	case f.short != "" && n.Kind == yaml.ScalarNode:
		return d.short(n, f, path)
	}
	switch f.kind.Kind() {
	case reflect.Pointer:
		f.kind = f.kind.Elem()
		return d.value(n, f, path)
	case reflect.Struct:
		return d.mapping(n, f, path)
	case reflect.Map:
		return d.table(n, f, path)
	}
	if f.entry != "" {
		return d.entries(n, f, path)
	}
	return d.list(n, f, path)
}

// is checks the kind of a node and says what it is when that is wrong.
func (d *document) is(kind yaml.Kind, n *yaml.Node, f field, path string) bool {
	if n.Kind == kind {
		return true
	}
	d.wrong(path, "is "+kindOf(n)+", but "+kindOf(&yaml.Node{Kind: kind})+" is wanted", or(f.hint, "see docs/configuration.md"))
	return false
}

// short reads a bare value as a mapping with one key.
func (d *document) short(n *yaml.Node, f field, path string) (any, bool) {
	if f.kind.Kind() == reflect.Map {
		v, ok := d.value(n, f.item(), path)
		if !ok {
			return nil, false
		}
		m := reflect.MakeMap(f.kind)
		m.SetMapIndex(reflect.ValueOf(f.short), reflect.ValueOf(v).Convert(f.kind.Elem()))
		return m.Interface(), true
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.short, Line: n.Line, Column: n.Column}
	long := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, n}, Line: n.Line, Column: n.Column}
	return d.mapping(long, f, path)
}

// mapping reads a mapping with fixed keys.
func (d *document) mapping(n *yaml.Node, f field, path string) (any, bool) {
	if !d.is(yaml.MappingNode, n, f, path) {
		return nil, false
	}
	tree := map[string]any{}
	d.fill(tree, n, keysOf(f.kind, false), path)
	return tree, true
}

// fill reads the keys of a mapping into a tree, and gives the missing ones their defaults.
func (d *document) fill(tree map[string]any, n *yaml.Node, fields []field, path string) {
	given := map[string]bool{}
	for _, p := range d.pairs(n, path) {
		f, ok := named(fields, p.name)
		if !ok {
			what, hint := unknown(p.name, fields)
			d.wrongAt(p.key, p.path, what, hint)
			continue
		}
		given[f.key] = true
		if v, ok := d.value(p.value, f, p.path); ok {
			tree[f.key] = v
		}
	}
	for _, f := range fields {
		p := join(path, f.key)
		switch {
		case given[f.key]:
		case f.required:
			d.wrong(p, "is missing", f.hint)
		}
		if _, ok := tree[f.key]; !ok {
			d.preset(tree, f, p)
		}
	}
}

// preset gives a key that has no value, or a wrong one, its default.
func (d *document) preset(tree map[string]any, f field, path string) {
	quiet := quietly()
	switch {
	case f.kind.Kind() == reflect.Struct && !leaf(f.kind) && f.short == "":
		inner := map[string]any{}
		quiet.fill(inner, &yaml.Node{Kind: yaml.MappingNode}, fieldsOf(f.kind), path)
		tree[f.key] = inner
	case f.def != "":
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(f.def), &n); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", path, err))
		}
		v, ok := quiet.value(n.Content[0], f, path)
		if !ok {
			panic(fmt.Sprintf("config: default of %s: %v", path, quiet.wrongs))
		}
		tree[f.key] = v
	}
}

// quietly is a document whose problems nobody hears of.
func quietly() *document { return &document{marks: map[string]mark{}} }

// entries reads a mapping from names to mappings as a list, so that the names keep their case.
func (d *document) entries(n *yaml.Node, f field, path string) (any, bool) {
	if !d.is(yaml.MappingNode, n, f, path) {
		return nil, false
	}
	list := []any{}
	for _, p := range d.pairs(n, path) {
		d.marks[p.path] = mark{p.key.Line, p.key.Column}
		of := f.item()
		of.entry = ""
		tree := map[string]any{nameKey: p.name}
		list = append(list, tree)
		if p.value.Kind == yaml.MappingNode {
			d.fill(tree, p.value, keysOf(of.kind, true), p.path)
			continue
		}
		d.value(p.value, of, p.path) // says what is wrong
		quietly().fill(tree, &yaml.Node{Kind: yaml.MappingNode}, keysOf(of.kind, true), p.path)
	}
	return list, true
}

// table reads a mapping from names to plain values.
func (d *document) table(n *yaml.Node, f field, path string) (any, bool) {
	if !d.is(yaml.MappingNode, n, f, path) {
		return nil, false
	}
	of := f.item()
	of.entry = ""
	m := reflect.MakeMap(f.kind)
	for _, p := range d.pairs(n, path) {
		if v, ok := d.value(p.value, of, p.path); ok {
			m.SetMapIndex(reflect.ValueOf(p.name), reflect.ValueOf(v).Convert(f.kind.Elem()))
		}
	}
	return m.Interface(), true
}

// list reads a sequence. A wrong item becomes a zero one, so that the others keep their numbers.
func (d *document) list(n *yaml.Node, f field, path string) (any, bool) {
	if !d.is(yaml.SequenceNode, n, f, path) {
		return nil, false
	}
	list := []any{}
	for i, item := range n.Content {
		v, ok := d.value(item, f.item(), fmt.Sprintf("%s[%d]", path, i))
		if !ok {
			v = reflect.Zero(f.kind.Elem()).Interface()
		}
		list = append(list, v)
	}
	return list, true
}

// pair is one key of a mapping with its value.
type pair struct {
	name       string
	path       string
	key, value *yaml.Node
}

// pairs lists the keys of a mapping, without those that are no plain names or come again.
func (d *document) pairs(n *yaml.Node, path string) []pair {
	first := map[string]*yaml.Node{}
	var ps []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		before, again := first[k.Value]
		switch {
		case k.Tag == "!!merge":
			d.wrongAt(k, path, "a merge (<<) is not supported", "write the keys out")
		case k.Kind != yaml.ScalarNode || k.Value == "":
			d.wrongAt(k, path, "has a key that is not a name", "write a plain word before the colon")
		case again:
			d.wrongAt(k, join(path, k.Value), fmt.Sprintf("is here twice, first on line %d", before.Line), "remove one of them")
		default:
			first[k.Value] = k
			p := join(path, k.Value)
			if v.Tag == "!!null" || v.Kind != yaml.ScalarNode && v.Style&yaml.FlowStyle == 0 {
				d.marks[p] = mark{k.Line, k.Column} // the value has no place, or begins on a later line
			}
			ps = append(ps, pair{k.Value, p, k, v})
		}
	}
	return ps
}

func named(fs []field, key string) (field, bool) {
	for _, f := range fs {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// kindOf names what a node is.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!str":
		return "a text"
	}
	return "a value with the tag " + n.Tag
}

func or(s, otherwise string) string {
	if strings.TrimSpace(s) != "" {
		return s
	}
	return otherwise
}

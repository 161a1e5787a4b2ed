package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// leaf reads a value that is written as one scalar.
func (d *document) leaf(n *yaml.Node, f field, path string) (any, bool) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(path, "is "+kindOf(n)+", but "+a(f)+" is wanted", or(f.hint, "write one plain value"))
		return nil, false
	}
	switch f.kind {
	case durationType:
		return d.duration(n, f, path)
	case addrType:
		return d.addr(n, f, path)
	case prefixType:
		return d.prefix(n, path)
	}
	switch f.kind.Kind() {
	case reflect.Bool:
		return d.boolean(n, path)
	case reflect.String:
		return d.text(n, f, path)
	}
	return d.number(n, f, path)
}

// a names the wanted kind of value.
func a(f field) string {
	switch {
	case f.kind == addrType:
		return "an IP address"
	case f.kind == prefixType:
		return "an address such as 10.0.0.100/24"
	case f.kind == durationType:
		return "a duration"
	case f.kind.Kind() == reflect.Bool:
		return "true or false"
	case f.kind.Kind() == reflect.String:
		return "a text"
	}
	return "a number"
}

var unitless = regexp.MustCompile(`^[-+]?[0-9.]+$`)

func (d *document) duration(n *yaml.Node, f field, path string) (any, bool) {
	v, err := time.ParseDuration(n.Value)
	low, _ := time.ParseDuration(f.low)
	top, _ := time.ParseDuration(f.top)
	switch {
	case unitless.MatchString(n.Value) && !(n.Value == "0" && low == 0):
		d.wrong(path, n.Value+" has no unit", fmt.Sprintf("write %ss or %sms", n.Value, n.Value))
	case err != nil:
		d.wrong(path, fmt.Sprintf("%q is not a duration", n.Value), "write a number with a unit (ms, s, m, h), such as 1.5s or 500ms")
	case v < low || v > top:
		d.wrong(path, fmt.Sprintf("%v is not between %s and %s", v, f.low, f.top), or(f.hint, "choose a duration from that range"))
	default:
		return v, true
	}
	return nil, false
}

func (d *document) addr(n *yaml.Node, f field, path string) (any, bool) {
	v, err := netip.ParseAddr(n.Value)
	switch {
	case err != nil && strings.Contains(n.Value, "/"):
		d.wrong(path, fmt.Sprintf("%q has a prefix length", n.Value), "write the address alone")
	case err != nil:
		d.wrong(path, fmt.Sprintf("%q is not an IP address", n.Value), "write the address itself: a name needs DNS, which may be down when it matters")
	case v.Zone() != "" || v.Is4In6():
		d.wrong(path, fmt.Sprintf("%q is not a plain IP address", n.Value), "write it without a zone, and IPv4 in dotted form")
	default:
		return v, true
	}
	return nil, false
}

// prefix reads an address with its prefix length; without one it is the address alone.
func (d *document) prefix(n *yaml.Node, path string) (any, bool) {
	v, err := netip.ParsePrefix(n.Value)
	if one, err1 := netip.ParseAddr(n.Value); err1 == nil && one.Zone() == "" {
		v, err = netip.PrefixFrom(one, one.BitLen()), nil
	}
	if err != nil || v.Addr().Is4In6() {
		d.wrong(path, fmt.Sprintf("%q is not an address", n.Value), "write it with its prefix length, such as 10.0.0.100/24")
		return nil, false
	}
	return v, true
}

func (d *document) boolean(n *yaml.Node, path string) (any, bool) {
	switch n.Value {
	case "true", "false":
		if n.Tag == "!!bool" {
			return n.Value == "true", true
		}
		d.wrong(path, "is a text", "remove the quotes")
	default:
		d.wrong(path, fmt.Sprintf("%q is not true or false", n.Value), "write true or false")
	}
	return nil, false
}

// text reads a string. What is wrong with one is told without repeating it: a secret may have
// been put there by mistake.
func (d *document) text(n *yaml.Node, f field, path string) (any, bool) {
	item := strings.HasSuffix(path, "]")
	switch {
	case n.Tag != "!!str" && !f.plain:
		d.wrong(path, "is "+kindOf(n)+", but a text is wanted", "put it in quotes")
	case n.Value == "" && !item:
		d.wrong(path, "is empty", or(f.hint, "give it a value, or remove the key"))
	case strings.ContainsFunc(n.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		d.wrong(path, "has a line break or another control character", "write it on one line")
	case len(f.words) > 0 && !slices.Contains(f.words, n.Value):
		hint := "write one of: " + strings.Join(f.words, ", ")
		if s, ok := nearest(n.Value, f.words); ok {
			hint = fmt.Sprintf("did you mean %s? (%s)", s, strings.Join(f.words, ", "))
		}
		d.wrong(path, fmt.Sprintf("%q is not known here", n.Value), hint)
	default:
		return n.Value, true
	}
	return nil, false
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number reads a whole number, in decimal only: YAML takes 051 for 41.
func (d *document) number(n *yaml.Node, f field, path string) (any, bool) {
	low, _ := strconv.Atoi(f.low)
	top, _ := strconv.Atoi(f.top)
	v, err := strconv.Atoi(n.Value)
	switch {
	case n.Tag == "!!str" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && decimal.MatchString(n.Value):
		d.wrong(path, "is a text", "remove the quotes")
	case n.Tag != "!!int" && n.Tag != "!!float":
		d.wrong(path, fmt.Sprintf("%q is not a number", n.Value), or(f.hint, fmt.Sprintf("write a number from %s to %s", f.low, f.top)))
	case !decimal.MatchString(n.Value) && !strings.ContainsAny(n.Value, ".eE"):
		d.wrong(path, fmt.Sprintf("%s is not plain decimal: YAML reads other forms, such as octal, into it", n.Value), "write it in decimal, without leading zeros or underscores")
	case !decimal.MatchString(n.Value):
		d.wrong(path, n.Value+" is not a whole number", fmt.Sprintf("write a number from %s to %s", f.low, f.top))
	case err != nil || v < low || v > top:
		d.wrong(path, fmt.Sprintf("%s is not between %s and %s", n.Value, f.low, f.top), or(f.hint, "choose a number from that range"))
	default:
		return v, true
	}
	return nil, false
}

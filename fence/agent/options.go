package agent

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is something wrong with an option, or with one that is missing.
type Problem struct {
	Option string // empty: with all of them together
	What   string
	Hint   string // what to do
	Doubt  bool   // allowed, and yet doubtful
	// Known are the options that there are, where this one isn't.
	Known []string
}

func (p Problem) String() string {
	text := p.What + "; " + p.Hint
	if p.Option != "" {
		text = "option " + p.Option + ": " + text
	}
	return text
}

const boolean = "boolean"

// Check compares options with what the agent knows, and says everything that is wrong, in the order of
// the options' names. No value of a secret is in it.
func (m *Metadata) Check(o Options) []Problem {
	var all []Problem
	given := maps.Clone(o.Values)
	if given == nil {
		given = map[string]string{}
	}
	for name, value := range o.Secrets {
		if _, twice := given[name]; twice {
			all = append(all, Problem{Option: name, What: "is here, and as a secret, too", Hint: "keep the secret"})
		}
		given[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		_, secret := o.Secrets[name]
		all = append(all, m.checkOne(name, given[name], secret)...)
	}
	all = append(all, m.checkMissing(given)...)
	if p, ok := checkTimes(o); !ok {
		all = append(all, p)
	}
	if filepath.Base(m.Name) == "fence_dummy" {
		all = append(all, Problem{What: "fence_dummy cuts no power", Hint: "use it in rehearsals only", Doubt: true})
	}
	return all
}

func (m *Metadata) checkOne(name, value string, secret bool) []Problem {
	if what, hint, doubt := suspicious(name, value); what != "" {
		return []Problem{{Option: name, What: what, Hint: hint, Doubt: doubt}}
	}
	p, known := m.parameters[name]
	if fresh, obsolete := m.instead[name]; obsolete {
		return []Problem{{Option: name, What: "is obsolete", Hint: "write " + fresh}}
	}
	switch {
	case !known:
		return []Problem{m.unknown(name)}
	case p.deprecated:
		return []Problem{{Option: name, What: "is obsolete", Hint: "remove it; see man " + filepath.Base(m.Name)}}
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return []Problem{{Option: name, What: "has a line break or another control character", Hint: "write it on one line"}}
	}
	if want := p.wants(value); want != "" {
		what := fmt.Sprintf("%q isn't %s", value, want)
		if secret {
			what = "isn't " + want
		}
		return []Problem{{Option: name, What: what, Hint: "see man " + filepath.Base(m.Name)}}
	}
	return nil
}

// unknown is an option that the agent doesn't have.
func (m *Metadata) unknown(name string) Problem {
	p := Problem{Option: name, What: m.Name + " has no such option"}
	spelt := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	if _, ok := m.parameters[spelt]; ok && spelt != name {
		p.Hint = "write " + spelt
		return p
	}
	for n, one := range m.parameters {
		if what, _, _ := suspicious(n, ""); what == "" && !one.deprecated {
			p.Known = append(p.Known, n)
		}
	}
	slices.Sort(p.Known)
	p.Hint = "choose from " + strings.Join(p.Known, ", ")
	return p
}

var whole = regexp.MustCompile(`^-?[0-9]+$`)

// wants is what kind of value is wanted where this isn't one.
func (p parameter) wants(value string) string {
	switch {
	case p.kind == boolean && !truth(value) && !falsehood(value):
		return "1 or 0"
	case p.kind == "second" && !(whole.MatchString(value) && value[0] != '-'):
		return "a number of seconds"
	case p.kind == "integer" && !whole.MatchString(value):
		return "a number"
	case len(p.choices) > 0 && !slices.Contains(p.choices, value):
		return "one of " + strings.Join(p.choices, ", ")
	}
	return ""
}

// checkMissing looks for options that the agent, or proof, can't do without. An obsolete name was
// told before.
func (m *Metadata) checkMissing(given map[string]string) []Problem {
	old := map[string]bool{} // fresh names whose obsolete one is given
	for o, fresh := range m.instead {
		if _, ok := given[o]; ok {
			old[fresh] = true
		}
	}
	var all []Problem
	for _, name := range slices.Sorted(maps.Keys(m.parameters)) {
		p := m.parameters[name]
		_, has := given[name]
		if p.required && !p.deprecated && p.preset == "" && !has && !old[name] && name != "action" {
			all = append(all, Problem{Option: name, What: "is missing", Hint: "write it; see man " + filepath.Base(m.Name)})
		}
	}
	for name, why := range needed[filepath.Base(m.Name)] {
		if given[name] == "" {
			all = append(all, Problem{Option: name, What: "is missing: " + why, Hint: "write it"})
		}
	}
	return all
}

// checkTimes refuses pauses that outlast the time limit: the agent would be killed before it does
// anything.
func checkTimes(o Options) (Problem, bool) {
	limit, pause := o.Timeout, time.Duration(0)
	if limit == 0 {
		limit = defaultTimeout
	}
	for _, name := range []string{"delay", "power_wait"} {
		if n, err := strconv.ParseUint(o.Values[name], 10, 31); err == nil {
			pause += time.Duration(n) * time.Second
		}
	}
	switch {
	case o.Timeout < 0:
		return Problem{What: fmt.Sprintf("timeout %v", o.Timeout), Hint: "give a positive duration"}, false
	case pause >= limit:
		return Problem{
			What: fmt.Sprintf("delay and power_wait, %v together, aren't shorter than the timeout, %v: the agent would be killed before it has done anything", pause, limit),
			Hint: "remove them, or give a longer timeout",
		}, false
	}
	return Problem{}, true
}

// truth and falsehood are the words that the agents' library knows.
func truth(value string) bool {
	return slices.Contains([]string{"1", "yes", "on", "true"}, strings.ToLower(value))
}

func falsehood(value string) bool {
	return slices.Contains([]string{"0", "no", "off", "false"}, strings.ToLower(value))
}

package arbiter

import (
	"slices"
	"strings"
)

// Accept is which evidence suffices for a group, as sorted words with commas between; empty is the
// default: everything but [Expired] and [WatchdogAssumed]. It is a text so that groups compare.
type Accept string

// always are the kinds that can't be left out: without them a suspect that is certainly harmless
// would block the group for ever, or be shot although it came back.
var always = []Evidence{Released, NewBoot, PowerOffVerified}

// AcceptOf is the policy that accepts these kinds.
func AcceptOf(kinds ...Evidence) Accept {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	slices.Sort(words)
	a := Accept(strings.Join(slices.Compact(words), ","))
	if a == usual {
		return ""
	}
	return a
}

// usual is the default in words.
const usual Accept = "new-boot,operator-attested,power-off-verified,released"

// takes reports whether a kind suffices.
func (a Accept) takes(e Evidence) bool {
	if a == "" {
		return e == OperatorAttested || slices.Contains(always, e)
	}
	return slices.Contains(strings.Split(string(a), ","), string(e))
}

// complete reports whether nothing is left out that can't be.
func (a Accept) complete() bool {
	return !slices.ContainsFunc(always, func(e Evidence) bool { return !a.takes(e) })
}

// and is what both accept.
func (a Accept) and(b Accept) Accept {
	var both []Evidence
	for _, e := range append(slices.Clone(always), OperatorAttested, WatchdogAssumed) {
		if a.takes(e) && b.takes(e) {
			both = append(both, e)
		}
	}
	return AcceptOf(both...)
}

// settles reports whether an evidence about a boot would free any group of it, or there is none to
// free.
func (r Record) settles(b Boot, e Evidence) bool {
	any := false
	for _, g := range r.Groups {
		if g.Holder == b || g.Suspect == b {
			any = true
			if g.Accept.takes(e) {
				return true
			}
		}
	}
	return !any
}

package etcd

import (
	"fmt"
	"strconv"
	"strings"
)

// release is a version of the etcd server.
type release [3]int

func parseRelease(s string) (release, error) {
	core, _, _ := strings.Cut(strings.TrimPrefix(s, "v"), "-")
	parts := strings.Split(core, ".")
	var r release
	if len(parts) != len(r) {
		return r, fmt.Errorf("etcd version %q: want three numbers", s)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return r, fmt.Errorf("etcd version %q: %w", s, err)
		}
		r[i] = n
	}
	return r, nil
}

func (r release) before(o release) bool {
	for i := range r {
		if r[i] != o[i] {
			return r[i] < o[i]
		}
	}
	return false
}

// flaw is a range of releases, from first to before fixed, with a known bug.
type flaw struct {
	first, fixed release
	what         string
	data         bool // agreed data can be lost or differ between members: a problem, not a mere warning
}

// The bugs that matter to a ledger, newest knowledge of 2026. What is wrong with leases doesn't
// matter to solevip, which uses none, but to whatever else relies on the same etcd.
var flaws = []flaw{
	{release{3, 5, 0}, release{3, 5, 3}, "members can end up with different data after a crash (etcd-io/etcd issue 13766)", true},
	{release{3, 5, 0}, release{3, 5, 6}, "members can end up with different data (kubernetes pull request 114093)", true},
	{release{3, 4, 20}, release{3, 4, 22}, "members can end up with different data (kubernetes pull request 114093)", true},
	{release{0, 0, 0}, release{3, 4, 0}, "it is older than solevip is made for", true},
	{release{3, 4, 0}, release{3, 5, 0}, "it gets no fixes any more", false},
	{release{3, 4, 0}, release{3, 4, 38}, "leases can be renewed after they were revoked (etcd-io/etcd pull request 20590)", false},
	{release{3, 5, 0}, release{3, 5, 23}, "leases can be renewed after they were revoked (etcd-io/etcd pull request 20590)", false},
	{release{3, 6, 0}, release{3, 6, 5}, "leases can be renewed after they were revoked (etcd-io/etcd pull request 20590)", false},
}

// flawsOf are the known bugs of a version. One that can't be read is a warning too.
func flawsOf(version string) (problems, warnings []string) {
	r, err := parseRelease(version)
	if err != nil {
		return nil, []string{err.Error()}
	}
	for _, f := range flaws {
		if r.before(f.first) || !r.before(f.fixed) {
			continue
		}
		text := fmt.Sprintf("etcd %s: %s; 3.5.23, 3.6.5 and later are well", version, f.what)
		if f.data {
			problems = append(problems, text)
		} else {
			warnings = append(warnings, text)
		}
	}
	return problems, warnings
}

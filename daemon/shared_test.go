package daemon

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func facts() map[string]string {
	return map[string]string{
		"ledger.ttl": "3s", "cluster.nodes.db1": "member 10.0.0.5",
		"groups.mysql.protection": "fence", "groups.mysql.instances.1": "vrid 50 10.0.0.100/24",
		"groups.nfs.protection": "fence", "groups.nfs.priority.db1": "200",
	}
}

func TestDifferencesAreTold(t *testing.T) {
	long := strings.Repeat("10.0.0.100/24,", 20)
	for name, tt := range map[string]struct {
		mine, their map[string]string // laid over the facts; "" takes a key away
		want        []string
	}{
		"the same file": {},
		"another value": {their: map[string]string{"ledger.ttl": "5s"}, want: []string{"ledger.ttl is 3s here and 5s on db2"}},
		"a node only here": {
			mine: map[string]string{"cluster.nodes.db3": "member 10.0.0.7"}, want: []string{"cluster.nodes.db3 is only here"},
		},
		"a whole group only there is one line": {
			mine: map[string]string{"groups.nfs.protection": "", "groups.nfs.priority.db1": ""}, want: []string{"groups.nfs is only on db2"},
		},
		"a key of a group": {
			their: map[string]string{"groups.nfs.priority.db1": ""}, want: []string{"groups.nfs.priority.db1 is only here"},
		},
		"a long value differs somewhere": {
			mine: map[string]string{"groups.mysql.instances.1": long}, their: map[string]string{"groups.mysql.instances.1": long + "x"},
			want: []string{"groups.mysql.instances.1 differs"},
		},
		"a long value is the same": {
			mine: map[string]string{"groups.mysql.instances.1": long}, their: map[string]string{"groups.mysql.instances.1": long},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := differences(over(tt.mine), "db2", sharedText(over(tt.their)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func over(changes map[string]string) map[string]string {
	out := facts()
	maps.Copy(out, changes)
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// A large file is told in less detail, and compared in the detail that the other node told.
func TestALargeFileIsToldInLessDetail(t *testing.T) {
	for _, tt := range []struct {
		groups       int
		detail, want string
	}{
		{1, "all", "groups.g0.protection is fence here and lease on db2"},
		{40, "groups", "groups.g0 differs"},
		{400, "sum", "groups differs"},
	} {
		mine, their := facts(), facts()
		for i := range tt.groups {
			for _, m := range []map[string]string{mine, their} {
				m[fmt.Sprintf("groups.g%d.protection", i)] = "fence"
				m[fmt.Sprintf("groups.g%d.instances.1", i)] = "vrid 50 v3 1s multicast 10.0.0.100/24"
			}
		}
		their["groups.g0.protection"] = "lease"
		text := sharedText(their)
		if len(text) > sharedLimit || !strings.HasPrefix(text, "detail "+tt.detail+"\n") {
			t.Errorf("%d groups: %d bytes, %.20q", tt.groups, len(text), text)
		}
		if diff := cmp.Diff([]string{tt.want}, differences(mine, "db2", text)); diff != "" {
			t.Errorf("%d groups: %s", tt.groups, diff)
		}
		if got := differences(mine, "db2", sharedText(mine)); len(got) > 0 {
			t.Errorf("%d groups, the same file: %q", tt.groups, got)
		}
	}
}

func TestATextThatIsNotUnderstoodSaysNothing(t *testing.T) {
	for _, text := range []string{"", "detail none\n", "detail newer\nx y\n", "nonsense"} {
		if got := differences(facts(), "db2", text); got != nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

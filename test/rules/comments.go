package rules

import (
	"fmt"
	"strings"
)

// comments checks that every package begins with exactly one paragraph that says what it owns.
func comments(files []source) []string {
	where := map[string][]string{} // package: the files that have one
	for _, f := range files {
		pkg := f.dir + " " + f.ast.Name.Name
		if f.test && strings.HasSuffix(f.ast.Name.Name, "_test") {
			continue // the outside tests of a package
		}
		if _, seen := where[pkg]; !seen {
			where[pkg] = nil
		}
		if f.ast.Doc != nil && !strings.HasSuffix(f.name, "_others.go") { // the twin for other systems may repeat it
			where[pkg] = append(where[pkg], f.name)
		}
	}
	var out []string
	for pkg, in := range where {
		dir, name, _ := strings.Cut(pkg, " ")
		switch {
		case len(in) == 0:
			out = append(out, fmt.Sprintf("%s: package %s has no comment that says what it owns and what it does not do", dir, name))
		case len(in) > 1:
			out = append(out, fmt.Sprintf("%s: package %s has %d comments (%s): one is enough", dir, name, len(in), strings.Join(in, ", ")))
		}
	}
	return out
}

package rules

import (
	"strconv"
	"strings"
)

// module is the path that our own imports begin with.
const module = "github.com/solevip/solevip"

// imports checks a file's imports against the tables: our own packages, and other people's.
func imports(f source) []string {
	var out []string
	row, known := layout[f.dir]
	if !known && !f.test {
		out = append(out, f.says(f.ast.Package, "package %s is not in the layout table of test/rules: say there whom it may know, and why", f.dir))
	}
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		own, isOwn := strings.CutPrefix(p, module+"/")
		switch {
		case isOwn && known && !f.test && !row.knows(own):
			out = append(out, f.says(i.Pos(), "%s may not import %s: %s", f.dir, own, row.why))
		case !isOwn && thirdParty(p):
			if why := stranger(f, p); why != "" {
				out = append(out, f.says(i.Pos(), "%s may not import %s: %s", f.dir, p, why))
			}
		}
	}
	return out
}

func (r row) knows(own string) bool {
	for _, may := range r.may {
		if may == own || strings.HasSuffix(may, "/...") && strings.HasPrefix(own+"/", strings.TrimSuffix(may, "...")) {
			return true
		}
	}
	return false
}

// thirdParty reports whether an import is neither ours nor the standard library's: its first
// element has a dot.
func thirdParty(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return strings.Contains(first, ".") && p != module
}

// stranger says why a package may not see a third-party module, or "".
func stranger(f source, p string) string {
	for _, m := range modules {
		if p != m.path && !strings.HasPrefix(p, m.path+"/") {
			continue
		}
		for _, may := range m.in {
			if f.dir == may || may == "tests" && f.test || strings.HasPrefix(f.dir, "test/") && may == "test" {
				return ""
			}
		}
		return m.why
	}
	return "it is not in the module table of test/rules: say there which adapter needs it, and why"
}

package rules

import (
	"go/ast"
	"slices"
	"strconv"
)

// purity checks that a pure package takes time and randomness as arguments and leaves effects to
// others. Its tests may do as they like.
func purity(f source) []string {
	if !slices.Contains(pure, f.dir) || f.test {
		return nil
	}
	var out []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		for _, b := range impure {
			if b.matches(p) {
				out = append(out, f.says(i.Pos(), "pure package %s may not import %s: %s", f.dir, p, b.why))
			}
		}
	}
	clock, timed := f.imported()["time"]
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			out = append(out, f.says(n.Pos(), "pure package %s starts a goroutine: its caller owns those", f.dir))
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && timed && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
				out = append(out, f.says(n.Pos(), "pure package %s uses time.%s: an instant is an argument", f.dir, n.Sel.Name))
			}
		}
		return true
	})
	if timed && clock == "." {
		out = append(out, f.says(f.ast.Package, "pure package %s imports time with a dot: then a clock that is read can't be seen", f.dir))
	}
	return out
}

// permits checks that a claim.Permit with something in it is made in one function of package
// claim, and nowhere else.
func permits(f source) []string {
	var out []string
	claim := f.imported()[module+"/claim"]
	for _, d := range f.ast.Decls {
		fn, _ := d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) == 0 {
				return true
			}
			here := f.dir == "claim" && isName(lit.Type, "Permit")
			there := claim != "" && isField(lit.Type, claim, "Permit")
			if there || here && (fn == nil || fn.Name.Name != "permit" || fn.Recv == nil) {
				out = append(out, f.says(lit.Pos(), "a Permit is made outside the rule (Machine.permit in package claim)"))
			}
			return true
		})
	}
	return out
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func isField(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && isName(sel.X, pkg) && sel.Sel.Name == name
}

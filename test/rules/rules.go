// Package rules reads the source of the whole module and says where it breaks the layout of
// docs/design: who may know whom, what the pure packages may not do, where third-party types stop.
//
// It only parses: nothing is built or resolved, so it is fast and works on any system's files. The
// rules themselves are the tables in tables.go, each row with its reason.
package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is one parsed file.
type source struct {
	dir  string // of the package, from the module's root; "." for the root
	name string
	test bool
	ast  *ast.File
	at   func(token.Pos) string
}

// Check returns what is wrong in the module at root, one line each, in order.
func Check(root string) ([]string, error) {
	files, err := parse(os.DirFS(root))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		out = append(out, imports(f)...)
		out = append(out, purity(f)...)
		out = append(out, permits(f)...)
	}
	out = append(out, comments(files)...)
	slices.Sort(out)
	return out, nil
}

// parse reads every Go file but those that the go tool leaves out too.
func parse(tree fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		base := path.Base(p)
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, ".go"):
			return nil
		}
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", p, err)
		}
		out = append(out, source{
			dir: path.Dir(p), name: base, test: strings.HasSuffix(base, "_test.go"), ast: f,
			at: func(pos token.Pos) string {
				at := set.Position(pos)
				return fmt.Sprintf("%s:%d", at.Filename, at.Line)
			},
		})
		return nil
	})
	return out, err
}

// imported is a file's imports by path, with their names in the file.
func (f source) imported() map[string]string {
	out := map[string]string{}
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		out[p] = name
	}
	return out
}

func (f source) says(pos token.Pos, format string, args ...any) string {
	return f.at(pos) + ": " + fmt.Sprintf(format, args...)
}

package conn_test

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Package documentation that tests read, and tests that it, or another test, names.

// section returns what stands in a file's package documentation under a heading.
func section(t *testing.T, file, heading string) (blocks []comment.Block) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for _, block := range new(comment.Parser).Parse(parsed.Doc.Text()).Content {
		if h, ok := block.(*comment.Heading); ok {
			inside = len(h.Text) == 1 && h.Text[0] == comment.Plain(heading)
		} else if inside {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// codeIn returns the indented text of a section.
func codeIn(t *testing.T, file, heading string) (text string) {
	t.Helper()
	for _, block := range section(t, file, heading) {
		if code, ok := block.(*comment.Code); ok {
			text += code.Text
		}
	}
	return text
}

// pointsIn returns the numbers of a section's list.
func pointsIn(t *testing.T, file, heading string) (numbers []string) {
	t.Helper()
	for _, block := range section(t, file, heading) {
		if list, ok := block.(*comment.List); ok {
			for _, item := range list.Items {
				numbers = append(numbers, item.Number)
			}
		}
	}
	return numbers
}

// testStrings maps the tests of this folder to the first lines of the strings in
// them: what they say, among others.
var testStrings = sync.OnceValues(func() (map[string]map[string]bool, error) {
	found := map[string]map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = stringsIn(f)
			}
		}
	}
	return found, nil
})

func stringsIn(f *ast.FuncDecl) map[string]bool {
	found := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				says, _, _ := strings.Cut(text, "\n") // what was got, and wanted, follows
				found[says] = true
			}
		}
		return true
	})
	return found
}

// provedBy refers to a test that proves something at length. It fails unless there
// is such a test, which says it in these words.
func provedBy(t *testing.T, test string, says ...string) {
	t.Helper()
	tests, err := testStrings()
	if err != nil {
		t.Fatal(err)
	}
	if tests[test] == nil {
		t.Errorf("%s is a test", test)
	}
	for _, text := range says {
		if !tests[test][text] {
			t.Errorf("%s says what it proves\n got none of: %q", test, text)
		}
	}
}

// selectorsIn returns what the package in a folder, its tests left out, takes from
// others: "fmt.Errorf".
func selectorsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if from, ok := s.X.(*ast.Ident); ok {
					names = append(names, from.Name+"."+s.Sel.Name)
				}
			}
			return true
		})
	}
	return names
}

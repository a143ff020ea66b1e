package conn_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/imclient/imclient"

// arrows are the packages of this module that each of its libraries may import.
// wire, sasl, tlsup and reactor are strangers to each other.
var arrows = map[string][]string{
	"wire":               {},
	"sasl":               {"sasl/internal/gss", "sasl/internal/krb5"},
	"sasl/internal/gss":  {},
	"sasl/internal/krb5": {},
	"sasl/krbtest":       {"sasl/internal/gss"},
	"tlsup":              {},
	"reactor":            {},
	"conn":               {"wire", "sasl", "tlsup", "reactor"},
	"conn/conntest":      {"conn", "reactor", "tlsup"},
}

// foreign are the modules besides the standard library that each library may
// import: whoever uses the library depends on them. wire, sasl and tlsup know
// bytes, never a socket.
var foreign = map[string][]string{
	"sasl":               {"github.com/emersion/go-sasl", "github.com/xdg-go/stringprep"},
	"sasl/internal/gss":  {"github.com/jcmturner/gokrb5/v8"},
	"sasl/internal/krb5": {"github.com/jcmturner/gokrb5/v8"},
	"sasl/krbtest":       {"github.com/jcmturner/gokrb5/v8"},
	"reactor":            {"golang.org/x/sys"},
	"conn":               {"golang.org/x/sys"},
	"conn/conntest":      {"golang.org/x/sys"},
}

// kits are packages for tests, and for the tests of all packages.
var kits = []string{"sasl/krbtest"}

// programs are the folders of commands and measurements, which may import what
// suits them, and which nothing outside them may import.
var programs = []string{"cmd", "bench"}

// checkImport tells what is wrong with an import of a package by a package of
// this module, named by its folder; "" if nothing is. Tests of a library may
// import what they need, but none of another stranger's packages.
func checkImport(from, imported string, inTest bool) string {
	own, isOwn := strings.CutPrefix(imported, module+"/")
	switch {
	case !isOwn && !strings.Contains(top(imported), "."):
		return "" // the standard library
	case slices.Contains(programs, top(from)):
		if isOwn && slices.Contains(programs, top(own)) && top(own) != top(from) {
			return "nothing imports " + top(own)
		}
		return ""
	case arrows[from] == nil:
		return from + " is none of the module's folders"
	case isOwn && slices.Contains(arrows[from], own):
		return ""
	case isOwn && inTest && (top(own) == top(from) || slices.Contains(kits, own)):
		return "" // a package's external test, and a test kit
	case isOwn:
		return "it may import no more of this module than " + strings.Join(arrows[from], ", ")
	case inTest:
		return ""
	}
	for _, allowed := range foreign[from] {
		if imported == allowed || strings.HasPrefix(imported, allowed+"/") {
			return ""
		}
	}
	return "the library's users would depend on it"
}

func top(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != ".." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)[len("../"):]
		from := path.Dir(file)
		seen[from] = true
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if wrong := checkImport(from, imported, strings.HasSuffix(name, "_test.go")); wrong != "" {
				t.Errorf("imports follow the arrows\n got: %s imports %s: %s", file, imported, wrong)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder := range arrows {
		if !seen[folder] {
			t.Errorf("each library has a folder\n got none: %s", folder)
		}
	}
	for folder := range seen {
		if arrows[folder] == nil && !slices.Contains(programs, top(folder)) {
			t.Errorf("the module has no folders but those that are listed here\n got: %s", folder)
		}
	}
}

func TestCheckImport(t *testing.T) {
	for _, tc := range []struct {
		from, imported string
		inTest, wrong  bool
	}{
		{"wire", "strings", false, false},
		{"wire", "crypto/tls", false, false},
		{"wire", module + "/conn", false, true},
		{"wire", module + "/sasl", false, true},
		{"wire", module + "/sasl", true, true},
		{"wire", module + "/wire", true, false},
		{"wire", "golang.org/x/sys/unix", false, true},
		{"reactor", "golang.org/x/sys/unix", false, false},
		{"reactor", "golang.org/x/systematic", false, true},
		{"reactor", module + "/wire", false, true},
		{"reactor", "github.com/emersion/go-imap/v2", false, true},
		{"reactor", "github.com/emersion/go-imap/v2", true, false},
		{"conn", module + "/wire", false, false},
		{"conn", module + "/tlsup", false, false},
		{"conn", module + "/conn/conntest", false, true},
		{"conn", module + "/conn/conntest", true, false},
		{"conn", module + "/sasl/krbtest", false, true},
		{"conn", module + "/sasl/krbtest", true, false},
		{"conn", module + "/cmd/internal/x", true, true},
		{"conn", module + "/bench", false, true},
		{"conn/conntest", module + "/conn", false, false},
		{"cmd/imload", module + "/conn", false, false},
		{"cmd/imload", module + "/cmd/internal/x", false, false},
		{"cmd/imload", module + "/bench/fleet", false, true},
		{"cmd/imload", "github.com/emersion/go-imap/v2", false, false},
		{"bench/ours", module + "/bench/fleet", false, false},
		{"bench", module + "/cmd/internal/x", false, true},
		{"internal/util", "golang.org/x/sys/unix", false, true},
		{"conn/util", module + "/wire", false, true},
		{".", module + "/conn", false, true},
	} {
		wrong := checkImport(tc.from, tc.imported, tc.inTest)
		if (wrong != "") != tc.wrong {
			t.Errorf("%s imports %s (in a test: %t)\n got: wrong: %q\nwant: wrong: %t", tc.from, tc.imported, tc.inTest, wrong, tc.wrong)
		}
	}
}

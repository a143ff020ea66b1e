package krb5

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// values tells a profile's values as "a, b".
func profileValues(p *profile, path string) string {
	var list []string
	for _, v := range p.get(strings.Split(path, "/")...) {
		list = append(list, v.text)
	}
	return strings.Join(list, ", ")
}

// The format as MIT's library reads it: prof_parse.c and prof_tree.c.
func TestProfile(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files []string
		want  map[string]string
	}{
		{"relations", []string{"[a]\nx=1\n\ty = 2 \r\nz\t=  3 4  \n"}, map[string]string{"a/x": "1", "a/y": "2", "a/z": "3 4", "a/w": "", "b/x": ""}},
		{"comments", []string{"x=1 } ]\n\n[a] \n# b\n ;x=2\n\n  # x=3\nx=#4\n"}, map[string]string{"a/x": "#4"}},
		{"no end of line", []string{"[a]\nx=1"}, map[string]string{"a/x": "1"}},
		{"quotes", []string{`[a]` + "\n" + `x = "  a\tb\"c\\ \n\0 " rest` + "\n" + `y = "open` + "\n" + `z = ""`}, map[string]string{"a/x": "  a\tb\"c\\ \n0 ", "a/y": "open", "a/z": ""}},
		{"many values", []string{"[a]\nx=1\ny=3\nx=2\n[b]\nx=5\n[a]\nx=4"}, map[string]string{"a/x": "1, 2, 4", "b/x": "5"}},
		{"braces", []string{"[a]\nb = {\nx=1\nc={ \ny=2\n}\nz=3\n}\nx=4\nb =\n{\nx=5\n}"}, map[string]string{"a/b/x": "1, 5", "a/b/c/y": "2", "a/b/z": "3", "a/x": "4"}},
		{"a brace not closed", []string{"[a]\nb = {\nx=1"}, map[string]string{"a/b/x": "1"}},
		{"not a brace", []string{"[a]\nb = {x\nc = {}"}, map[string]string{"a/b": "{x", "a/c": "{}"}},
		{"files", []string{"[a]\nx=1\nb={\nx=2\n}", "[a]\nx=3\ny=4\nb={\nx=5\n}"}, map[string]string{"a/x": "1, 3", "a/y": "4", "a/b/x": "2, 5"}},
		{"final value", []string{"[a]\nx*=1\nx=2\ny=1", "[a]\nx=3\ny=3"}, map[string]string{"a/x": "1", "a/y": "1, 3"}},
		{"final section", []string{"[a]*\nx=1\n[a]\nx=2\nb={\nx=2\n}\n[b]\nx=3", "[a]\nx=4\ny=4\nb={\nx=4\n}\n[b]\nx=5"}, map[string]string{"a/x": "1", "a/y": "", "a/b/x": "", "b/x": "3, 5"}},
		{"final braces", []string{"[a]\nb={\nx=1\n}*\nb={\nx=2\nc={\ny=2\n}\nz=2\n}\nx=3\nb*={\nx=4\n}", "[a]\nb={\nx=5\n}\nx=6"}, map[string]string{"a/b/x": "1", "a/b/z": "", "a/b/c/y": "", "a/x": "3, 6"}},
		{"final braces, told before", []string{"[a]\nb*={\nx=1\n}\nb={\nx=2\n}", "[a]\nb={\nx=5\n}"}, map[string]string{"a/b/x": "1"}},
	} {
		dir := t.TempDir()
		var list []string
		for i, text := range tc.files {
			list = append(list, write(t, filepath.Join(dir, fmt.Sprint(i)), text), filepath.Join(dir, "none"))
		}
		var p profile
		if err := p.load(list); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		for path, want := range tc.want {
			if got := profileValues(&p, path); got != want {
				t.Errorf("%s: %s\n got: %s\nwant: %s", tc.name, path, got, want)
			}
		}
	}
}

func TestProfileSyntax(t *testing.T) {
	for _, tc := range []struct {
		text string
		line int
		want string
	}{
		{"[a\n", 1, "a section's line is"},
		{"\n\n[a] x\n", 3, "a section's line is"},
		{"[a]\nb={\n[c]\n", 3, "a } is missing"},
		{"[a]\n}\n", 2, "a } without its {"},
		{"[a]\nb={\n}\n}\n", 4, "a } without its {"},
		{"[a]\nx\n", 2, "no section, no name = value"},
		{"[a]\n=x\n", 2, "is one word"},
		{"[a]\nx y=z\n", 2, "is one word"},
		{"[a]\n\nx=\ny=1\n", 3, "nor a {"},
		{"module x.so:y\n", 1, "by a module"},
		{"[a]\n" + strings.Repeat("b={\n", confSubDepth), confSubDepth + 1, "too many braces"},
		{"[a]\ninclude /none/such\n", 2, "include /none/such: "},
		{"includedir /none/such\n", 1, "includedir /none/such: "},
		{"include .\n", 1, "of the other kind"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "krb5.conf"), tc.text)
		_, err := LoadConfig(path, noEnv)
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadFile || e.Look != path+" (set by the program)" ||
			!strings.Contains(err.Error(), fmt.Sprintf("%s line %d: ", path, tc.line)) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: an error of line %d\n got: %v", tc.text, tc.line, err)
		}
	}
}

func noEnv(string) string { return "" }

func TestProfileInclude(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "conf.d")
	for name, text := range map[string]string{
		"20-b": "[a]\nx=20", "10_A": "ignored\n[a]\nx=10\nb={\n", "30.conf": "[a]\nx=30\n",
		"40.conf~": "broken", "x.rpmsave": "broken", ".hidden.conf": "broken", "50 x": "broken", "ü": "broken", "folder/x": "broken", "folder.conf/x": "broken",
	} {
		write(t, filepath.Join(sub, name), strings.ReplaceAll(text, "broken", "[broken"))
	}
	one := write(t, filepath.Join(dir, "one"), "[a]\nx=one\n")
	main := write(t, filepath.Join(dir, "main"), "include "+one+"\nincludedir "+sub+"\n[a]\nb={\ninclude "+one+"\nx=inner\n}\nx=main\n include=no\nincludes=no\n")
	var p profile
	if err := p.load([]string{main}); err != nil {
		t.Fatal(err)
	}
	if got, want := profileValues(&p, "a/x"), "one, 10, 20, 30, one, main"; got != want {
		t.Errorf("included files go into the same tree, where they stand\n got: %s\nwant: %s", got, want)
	}
	if got := profileValues(&p, "a/b/x"); got != "inner" {
		t.Errorf("they are syntactically on their own\n got: %s", got)
	}
	for _, path := range []string{sub, one} {
		var p profile
		if err := p.load([]string{path}); err != nil || len(p.names) != 1 {
			t.Errorf("%s alone can be loaded: %v", path, err)
		}
	}
	write(t, filepath.Join(sub, "60"), "[a\n")
	_, err := LoadConfig(main, noEnv)
	if want := filepath.Join(sub, "60") + " line 1: "; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), main+" line 2: ") {
		t.Errorf("an error names both files and lines\n got: %v", err)
	}
}

// Files that include themselves or each other come to an end.
func TestProfileBounds(t *testing.T) {
	dir := t.TempDir()
	itself := filepath.Join(dir, "itself")
	write(t, itself, "include "+itself+"\n")
	many := filepath.Join(dir, "many", "0")
	for i := range 3 {
		write(t, filepath.Join(dir, "many", fmt.Sprint(i)), strings.Repeat("includedir "+filepath.Join(dir, "many")+"\n", 10))
	}
	big := write(t, filepath.Join(dir, "big", "x"), strings.Repeat("# comment\n", confLimit/10))
	bigs := write(t, filepath.Join(dir, "bigs"), strings.Repeat("include "+big+"\n", confTotal/confLimit+1))
	for path, want := range map[string]string{itself: "without end", many: "without end", bigs: "with it there are more than"} {
		if _, err := LoadConfig(path, noEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is refused: %s\n got: %v", path, want, err)
		}
	}
	wide := filepath.Join(dir, "wide")
	for i := range confFiles + 1 {
		write(t, filepath.Join(wide, fmt.Sprint(i)), "")
	}
	if _, err := LoadConfig(wide, noEnv); err == nil || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("1001 files are refused\n got: %v", err)
	}
}

package krb5

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	confLimit    = 1 << 20 // of a file
	confFiles    = 1000    // with all that they include
	confTotal    = 4 << 20 // of all of them
	confDepth    = 16      // of files that include files
	confSubDepth = 32      // of braces in braces
)

// profile is MIT's profile library: what krb5.conf(5) is written in. Files of a list
// are trees of their own, looked into one after the other; what they include goes into
// their tree.
type profile struct {
	files  []*section
	names  []string // of files
	stamps stamps
	opened int // files
	total  int // bytes of them
}

// section is a [section] or what braces hold.
type section struct {
	sections map[string]*section
	values   map[string]*values
	final    bool
}

// values are what a name was set to, as often as it was.
type values struct {
	list  []value
	final bool
}

// value knows where it was written.
type value struct {
	text string
	file string
	line int
}

func (v value) where() string { return fmt.Sprintf("%s line %d", v.file, v.line) }

// get returns all values under a path of names: those of the first file first. A name
// with a "*", of a section or of the value, ends the search in the files behind.
func (p *profile) get(path ...string) (list []value) {
	name := path[len(path)-1]
	for _, s := range p.files {
		final := false
		for _, step := range path[:len(path)-1] {
			if s = s.sections[step]; s == nil {
				break
			}
			final = final || s.final
		}
		if s != nil && s.values[name] != nil {
			v := s.values[name]
			list = append(list, v.list...)
			final = final || v.final
		}
		if final {
			break
		}
	}
	return list
}

func (s *section) child(name string) *section {
	c := s.sections[name]
	if c == nil {
		c = &section{}
		if s.sections == nil {
			s.sections = map[string]*section{}
		}
		s.sections[name] = c
	}
	return c
}

func (s *section) add(name string, v value, final bool) {
	vs := s.values[name]
	if vs == nil {
		vs = &values{}
		if s.values == nil {
			s.values = map[string]*values{}
		}
		s.values[name] = vs
	}
	if !vs.final {
		vs.list = append(vs.list, v)
		vs.final = final
	}
}

// load reads the files of a list. One that is missing is passed over; one that may not
// be read is too, as long as there are others. A directory is as if it were included.
func (p *profile) load(list []string) error {
	var refused error
	for _, path := range list {
		root := &section{}
		err := p.include(path, root, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !isSyntax(err):
			continue
		case errors.Is(err, fs.ErrPermission) && !isSyntax(err):
			refused = err
			continue
		case err != nil:
			return err
		}
		p.files = append(p.files, root)
		p.names = append(p.names, path)
	}
	if len(p.files) == 0 {
		return refused
	}
	return nil
}

// syntaxError is a line that the format does not have.
type syntaxError struct {
	file string
	line int
	what string
	err  error // of a file that the line includes
}

func (e *syntaxError) Error() string {
	s := fmt.Sprintf("%s line %d: %s", e.file, e.line, e.what)
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	return s
}

func (e *syntaxError) Unwrap() error { return e.err }

func isSyntax(err error) bool {
	var e *syntaxError
	return errors.As(err, &e)
}

// include reads a file, or the files of a directory in the order of their names, into
// root.
func (p *profile) include(path string, root *section, depth int) error {
	if path == os.DevNull {
		return nil // MIT's way to have no configuration
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return p.includeDir(path, root, depth)
	}
	data, at, err := readFile(path, confLimit)
	p.stamps = append(p.stamps, at)
	if err != nil {
		return err
	}
	p.opened++
	if p.total += len(data); p.opened > confFiles || p.total > confTotal {
		return fmt.Errorf("%s: with it there are more than %d files or %d bytes", path, confFiles, confTotal)
	}
	parser := profileParser{profile: p, file: path, depth: depth, root: root}
	return parser.parse(string(data))
}

func (p *profile) includeDir(dir string, root *section, depth int) error {
	p.stamps = append(p.stamps, stampOf(dir))
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); validName(e.Name()) && !isDir(path) {
			if err := p.include(path, root, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// validName keeps editors' and packagers' leavings out of an included directory:
// names of letters, digits, "-" and "_", or that end in ".conf", and none that begins
// with a dot.
func validName(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	return strings.HasSuffix(name, ".conf") || strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

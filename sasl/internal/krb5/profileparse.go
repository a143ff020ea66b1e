package krb5

import (
	"strings"
)

// profileParser reads one file, line by line, as MIT's prof_parse.c does.
type profileParser struct {
	profile *profile
	file    string
	line    int
	depth   int // of included files
	root    *section
	stack   []*section // the [section] and the braces that are open
	// discard is how many of stack were open when one was met that an earlier "*" has
	// made final: what it holds is not taken. 0: nothing is discarded.
	discard int
	// opening is the name of a relation without a value: its { comes on the next line.
	opening string
}

const blanks = " \t\n\v\f\r"

func (p *profileParser) parse(text string) error {
	for line := range strings.Lines(text) {
		p.line++
		if err := p.take(line); err != nil {
			return err
		}
	}
	return nil
}

func (p *profileParser) fail(what string) error {
	return &syntaxError{file: p.file, line: p.line, what: what}
}

func (p *profileParser) take(line string) error {
	for _, directive := range [...]string{"include", "includedir"} {
		if rest, ok := strings.CutPrefix(line, directive); ok && startsBlank(rest) {
			return p.takeInclude(directive, strings.TrimRight(strings.TrimLeft(rest, blanks), "\r\n"))
		}
	}
	if len(p.stack) == 0 && !strings.HasPrefix(line, "[") {
		if rest, ok := strings.CutPrefix(line, "module"); ok && startsBlank(rest) {
			return p.fail("configuration by a module cannot be had here")
		}
		return nil // what precedes the first section is comment
	}
	line = strings.Trim(line, blanks)
	if p.opening != "" {
		return p.takeBrace(line)
	}
	switch {
	case line == "" || line[0] == ';' || line[0] == '#':
		return nil
	case line[0] == '[':
		return p.takeSection(line)
	case line[0] == '}':
		return p.takeEnd(line)
	}
	return p.takeRelation(line)
}

func startsBlank(s string) bool { return s != "" && strings.IndexByte(blanks, s[0]) >= 0 }

// takeInclude reads files that are syntactically on their own but go into the same
// tree.
func (p *profileParser) takeInclude(directive, path string) error {
	if p.depth >= confDepth {
		return p.fail("files include files, and those files, without end")
	}
	if directive == "includedir" && !isDir(path) || directive == "include" && isDir(path) {
		return p.fail(directive + " " + path + ": is not there, or of the other kind (include is for files, includedir for directories)")
	}
	if err := p.profile.include(path, p.root, p.depth+1); err != nil {
		return &syntaxError{p.file, p.line, directive + " " + path, err}
	}
	return nil
}

// takeSection is [name], and * behind it if nothing may be added to it later.
func (p *profileParser) takeSection(line string) error {
	name, rest, ok := strings.Cut(line[1:], "]")
	rest, final := strings.CutPrefix(rest, "*")
	switch {
	case len(p.stack) > 1:
		return p.fail("a section begins within braces: a } is missing above")
	case !ok || strings.Trim(rest, blanks) != "":
		return p.fail("a section's line is [name] and no more")
	}
	p.stack, p.discard = p.stack[:0], 0
	p.enter(p.root.child(name), final)
	return nil
}

// enter opens a section or braces.
func (p *profileParser) enter(s *section, final bool) {
	p.stack = append(p.stack, s)
	switch {
	case p.discard > 0:
	case s.final:
		p.discard = len(p.stack)
	default:
		s.final = final
	}
}

func (p *profileParser) takeEnd(line string) error {
	last := len(p.stack) - 1
	if last < 1 {
		return p.fail("a } without its {")
	}
	if strings.HasPrefix(line, "}*") && p.discard == 0 {
		p.stack[last].final = true
	}
	p.stack = p.stack[:last]
	if last < p.discard {
		p.discard = 0
	}
	return nil
}

// takeBrace is the line behind "name =".
func (p *profileParser) takeBrace(line string) error {
	if !strings.HasPrefix(line, "{") {
		p.line--
		return p.fail("there is no value behind the =, nor a { on the next line")
	}
	name := p.opening
	p.opening = ""
	return p.open(name)
}

func (p *profileParser) open(tag string) error {
	if len(p.stack) >= confSubDepth {
		return p.fail("too many braces in braces")
	}
	name, _, final := strings.Cut(tag, "*")
	if p.discard > 0 {
		p.enter(&section{}, false)
	} else {
		p.enter(p.stack[len(p.stack)-1].child(name), final)
	}
	return nil
}

// takeRelation is name = value, name = "value", name = { or name =.
func (p *profileParser) takeRelation(line string) error {
	tag, text, ok := strings.Cut(line, "=")
	tag, text = strings.TrimRight(tag, blanks), strings.TrimLeft(text, blanks)
	switch {
	case !ok:
		return p.fail("no section, no name = value, no } and no comment")
	case tag == "" || strings.ContainsAny(tag, blanks):
		return p.fail("the name before the = is one word")
	case text == "":
		p.opening = tag
		return nil
	case text[0] == '{' && strings.Trim(text[1:], blanks) == "":
		return p.open(tag)
	case text[0] == '"':
		text = unquote(text[1:])
	}
	if p.discard == 0 {
		name, _, final := strings.Cut(tag, "*")
		p.stack[len(p.stack)-1].add(name, value{text, p.file, p.line}, final)
	}
	return nil
}

// unquote reads up to the next quote; what follows it is passed over.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			if c = s[i]; c != '0' {
				c = unescape(c)
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

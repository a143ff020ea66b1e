package sasl

import (
	"slices"
	"strconv"
	"strings"
)

const (
	maxDigestChallenge = 2047  // bytes, RFC 2831 section 2.1.1
	maxDigestResponse  = 4095  // section 2.1.2
	defaultMaxbuf      = 65536 // section 2.1.1
	minMaxbuf          = 17
	maxMaxbuf          = 1<<24 - 1
)

// digestChallenge is what a server offers (RFC 2831 section 2.1.1).
type digestChallenge struct {
	realms  []string
	nonce   string
	offered Prot     // by qop
	ciphers []Cipher // of auth-conf; those we know
	maxbuf  int      // longest packet that the server takes
	utf8    bool     // else the server speaks ISO 8859-1
}

// digestDirectives are the directives that mean something to us, and how often they may
// appear. Whether a value is a token or a quoted string is part of the grammar, too, but
// not of what servers do: Dovecot says charset="utf-8".
// set returns what is wrong with the value, "" for nothing.
var digestDirectives = map[string]struct {
	repeated bool
	set      func(c *digestChallenge, value string) (fault string)
}{
	"realm":  {repeated: true, set: (*digestChallenge).addRealm},
	"nonce":  {set: (*digestChallenge).setNonce},
	"qop":    {set: (*digestChallenge).setQop},
	"cipher": {set: (*digestChallenge).setCiphers},
	"maxbuf": {set: (*digestChallenge).setMaxbuf},
	"charset": {set: func(c *digestChallenge, v string) string {
		c.utf8 = true
		return unless(strings.EqualFold(v, "utf-8"), "a charset that is not utf-8")
	}},
	"algorithm": {set: func(_ *digestChallenge, v string) string {
		return unless(strings.EqualFold(v, "md5-sess"), "an algorithm that is not md5-sess")
	}},
	// A nonce that we used before has expired: we use none twice.
	"stale": {set: func(*digestChallenge, string) string { return "" }},
}

func unless(right bool, fault string) string {
	if right {
		return ""
	}
	return fault
}

// parseDigestChallenge takes nothing that the grammar does not have. What it does
// not know it ignores, as the grammar demands.
func parseDigestChallenge(challenge []byte) (*digestChallenge, error) {
	all, err := parseDirectives(challenge)
	if err != nil {
		return nil, err
	}
	c := &digestChallenge{offered: ProtNone, maxbuf: defaultMaxbuf}
	seen := make(map[string]bool, len(digestDirectives))
	for _, d := range all {
		known, ok := digestDirectives[d.name]
		if !ok {
			continue
		}
		switch {
		case seen[d.name] && !known.repeated:
			return nil, badChallenge(digestName, "%s twice", d.name)
		}
		seen[d.name] = true
		if fault := known.set(c, d.value); fault != "" {
			return nil, badChallenge(digestName, "%s", fault)
		}
	}
	for _, name := range [...]string{"nonce", "algorithm"} {
		if !seen[name] {
			return nil, badChallenge(digestName, "no %s", name)
		}
	}
	if c.offered&ProtPrivacy != 0 && !seen["cipher"] {
		return nil, badChallenge(digestName, "auth-conf without a cipher")
	}
	return c, nil
}

func (c *digestChallenge) addRealm(v string) string {
	c.realms = append(c.realms, v)
	return ""
}

// setNonce takes no empty nonce, though the grammar has it: it would be the same each time.
func (c *digestChallenge) setNonce(v string) string {
	c.nonce = v
	return unless(v != "", "an empty nonce")
}

func (c *digestChallenge) setQop(v string) string {
	c.offered = 0
	options, ok := tokens(v)
	for _, o := range options {
		c.offered |= qopProt(o)
	}
	return unless(ok, "a qop that is no list of tokens")
}

func (c *digestChallenge) setCiphers(v string) string {
	options, ok := tokens(v)
	for _, o := range options {
		if o := Cipher(o); o.strength() > 0 && !slices.Contains(c.ciphers, o) {
			c.ciphers = append(c.ciphers, o)
		}
	}
	return unless(ok, "a cipher that is no list of tokens")
}

func (c *digestChallenge) setMaxbuf(v string) string {
	n, err := strconv.ParseUint(v, 10, 32)
	c.maxbuf = int(n)
	return unless(err == nil && minMaxbuf <= n && n <= maxMaxbuf, "a maxbuf that is no number from 17 to 16777215")
}

// qopName is the quality of protection that goes with one bit of a [Prot].
func qopName(p Prot) string {
	switch p {
	case ProtPrivacy:
		return "auth-conf"
	case ProtIntegrity:
		return "auth-int"
	}
	return "auth"
}

// qopProt is the other way round; 0: it is unknown.
func qopProt(qop string) Prot {
	for _, p := range [...]Prot{ProtNone, ProtIntegrity, ProtPrivacy} {
		if qopName(p) == qop {
			return p
		}
	}
	return 0
}

// parseDigestProof returns what the server's last challenge proves itself with: the
// value of rspauth (RFC 2831 section 2.1.3).
func parseDigestProof(challenge []byte) (string, error) {
	all, err := parseDirectives(challenge)
	if err != nil {
		return "", err
	}
	proof := ""
	for _, d := range all {
		switch {
		case d.name != "rspauth":
		case proof != "":
			return "", badChallenge(digestName, "rspauth twice")
		default:
			proof = d.value
		}
	}
	if proof == "" {
		return "", badChallenge(digestName, "no rspauth")
	}
	return proof, nil
}

// directive is one part of a challenge: name=value, or name="value".
type directive struct {
	name  string // in lower case
	value string // unquoted
}

// parseDirectives cuts a challenge into its directives: 1#( token "=" ( token |
// quoted-string ) ) of RFC 2831 section 7, in which elements may be missing between two
// commas and white space may stand between any two words.
func parseDirectives(challenge []byte) ([]directive, error) {
	if len(challenge) > maxDigestChallenge {
		return nil, badChallenge(digestName, "%d bytes, where %d are the most", len(challenge), maxDigestChallenge)
	}
	var all []directive
	s := digestScanner{rest: string(challenge)}
	for s.separators(); s.rest != ""; s.separators() {
		d, fault := s.directive()
		if fault != "" {
			return nil, badChallenge(digestName, "%s at byte %d", fault, len(challenge)-len(s.rest))
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, badChallenge(digestName, "it is empty")
	}
	return all, nil
}

// tokens cuts a list of tokens, 1#token. They come in lower case. !ok: it is none.
func tokens(list string) (all []string, ok bool) {
	s := digestScanner{rest: list}
	for s.separators(); s.rest != ""; s.separators() {
		t := s.token()
		if t == "" || !s.atEnd() {
			return nil, false
		}
		all = append(all, strings.ToLower(t))
	}
	return all, len(all) > 0
}

// digestScanner walks a challenge, or a list within one.
type digestScanner struct{ rest string }

// directive takes the next one. fault is what is wrong where the scanner stands.
func (s *digestScanner) directive() (d directive, fault string) {
	d.name = strings.ToLower(s.token())
	if d.name == "" {
		return d, "no name of a directive"
	}
	s.space()
	if !s.take('=') {
		return d, "no = behind a directive's name"
	}
	s.space()
	var ok bool
	if s.take('"') {
		d.value, ok = s.quoted()
	} else {
		d.value = s.token()
		ok = d.value != ""
	}
	switch {
	case !ok:
		return d, "no value of a directive"
	case !s.atEnd():
		return d, "no comma behind a directive"
	}
	return d, ""
}

func (s *digestScanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// space skips LWS, [CRLF] 1*( SP | HT ).
func (s *digestScanner) space() {
	for {
		t := strings.TrimPrefix(s.rest, "\r\n")
		if t == "" || t[0] != ' ' && t[0] != '\t' {
			return
		}
		s.rest = t[1:]
	}
}

// separators skips what may stand between two elements of a list.
func (s *digestScanner) separators() {
	for s.space(); s.take(','); s.space() {
	}
}

// atEnd reports whether an element of a list ends here.
func (s *digestScanner) atEnd() bool {
	s.space()
	return s.rest == "" || s.rest[0] == ','
}

// token takes 1*<any CHAR except CTLs or separators>; "": there is none.
func (s *digestScanner) token() string {
	n := 0
	for n < len(s.rest) && isDigestTokenChar(s.rest[n]) {
		n++
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	return t
}

func isDigestTokenChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("()<>@,;:\\\"/[]?={}", c) < 0
}

// quoted takes the rest of a quoted string. Of the control characters it takes TAB
// alone, though the grammar has them all behind a backslash, and lines that are folded:
// we shall have to send back what we take.
func (s *digestScanner) quoted() (value string, ok bool) {
	var b strings.Builder
	for s.rest != "" {
		c := s.rest[0]
		escaped := c == '\\' && len(s.rest) > 1
		if escaped {
			s.rest = s.rest[1:]
			c = s.rest[0]
		}
		if isDigestControl(c) || escaped && c > 0x7f {
			return "", false
		}
		s.rest = s.rest[1:]
		if c == '"' && !escaped {
			return b.String(), true
		}
		b.WriteByte(c)
	}
	return "", false
}

func isDigestControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

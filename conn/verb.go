package conn

import "github.com/imclient/imclient/wire"

// verb is what must be known of a command besides its text.
type verb uint8

const (
	otherVerb    verb = iota
	login             // after its OK the server may have other capabilities
	logout            // its wait has a deadline of its own
	authenticate      // a login whose dialogue is secret
	startTLS          // what follows its OK is TLS
)

// logsIn tells the verbs whose OK ends a life as a stranger.
func (v verb) logsIn() bool { return v == login || v == authenticate }

// verbOf reads the first word of a command.
func verbOf(text []byte) verb {
	switch n := len(text); {
	case n >= 6 && text[0]|0x20 == 'l' && text[1]|0x20 == 'o':
		switch {
		case n >= 6 && wire.EqualFold(text[:6], "LOGIN "):
			return login
		case n == 6 && wire.EqualFold(text, "LOGOUT"):
			return logout
		}
	case n >= 8 && text[0]|0x20 == 's' && wire.EqualFold(text[:8], "STARTTLS") && (n == 8 || text[8] == ' '):
		return startTLS
	case n >= 13 && text[0]|0x20 == 'a' && wire.EqualFold(text[:13], "AUTHENTICATE "):
		return authenticate
	}
	return otherVerb
}

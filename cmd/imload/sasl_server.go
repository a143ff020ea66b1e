package main

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
	gosasl "github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"
)

// embeddedMechanisms are those of the embedded server, the strongest first. Under TLS
// 1.3 it has the -PLUS forms of SCRAM, too.
var embeddedMechanisms = []string{
	"EXTERNAL", "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5",
	"OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "ANONYMOUS",
}

// scramIterations are as many as a client may not go below (RFC 7677 section 4).
const scramIterations = 4096

// scramServers makes a server for each hash, for users whose names are free and whose
// password is the same.
func scramServers(password string) (map[string]*scram.Server, error) {
	servers := map[string]*scram.Server{}
	for name, hash := range map[string]scram.HashGeneratorFcn{
		"SCRAM-SHA-1": scram.SHA1, "SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512,
	} {
		client, err := hash.NewClient("", password, "")
		if err != nil {
			return nil, err
		}
		stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: rand.Text(), Iters: scramIterations})
		if err != nil {
			return nil, err
		}
		servers[name], err = hash.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
		if err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// AuthenticateMechanisms implements [imapserver.SessionSASL].
func (s *mailSession) AuthenticateMechanisms() []string {
	var names []string
	secured, binding := s.secured()
	for _, name := range embeddedMechanisms {
		if name == "EXTERNAL" && (secured == nil || len(secured.PeerCertificates) == 0) {
			continue // nobody has proved anything
		}
		if strings.HasPrefix(name, "SCRAM-") && binding.IsSupported() {
			names = append(names, name+"-PLUS")
		}
		names = append(names, name)
	}
	return names
}

// secured is the TLS below, nil for none, and what binds a login to it. The handshake
// comes first: the greeting tells what we have, and would be what begins it.
func (s *mailSession) secured() (*tls.ConnectionState, scram.ChannelBinding) {
	c, ok := s.conn.NetConn().(*tls.Conn)
	if !ok || c.Handshake() != nil {
		return nil, scram.ChannelBinding{}
	}
	state := c.ConnectionState()
	if state.Version < tls.VersionTLS13 {
		return &state, scram.ChannelBinding{} // RFC 9266 is about TLS 1.3
	}
	binding, err := scram.NewTLSExporterBinding(&state)
	if err != nil {
		return &state, scram.ChannelBinding{}
	}
	return &state, binding
}

// Authenticate implements [imapserver.SessionSASL].
func (s *mailSession) Authenticate(mechanism string) (gosasl.Server, error) {
	server := s.begin(mechanism)
	if server == nil {
		return nil, imapserver.ErrAuthFailed
	}
	return refusing{server}, nil
}

// begin begins a login; nil: we do not have the mechanism.
func (s *mailSession) begin(mechanism string) gosasl.Server {
	base, bound := strings.CutSuffix(mechanism, "-PLUS")
	if server := s.store.scram[base]; server != nil {
		return s.beginSCRAM(server, bound)
	}
	switch mechanism {
	case "EXTERNAL":
		return gosasl.NewExternalServer(s.external)
	case "CRAM-MD5":
		return s.beginCRAM()
	case "OAUTHBEARER":
		return gosasl.NewOAuthBearerServer(func(o gosasl.OAuthBearerOptions) *gosasl.OAuthBearerError {
			if s.bearer(o.Username, o.Token) != nil {
				return &gosasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
			}
			return nil
		})
	case "XOAUTH2":
		return &xoauth2Server{check: s.bearer}
	case "PLAIN":
		return gosasl.NewPlainServer(func(identity, name, password string) error {
			if cmp.Or(identity, name) != name {
				return imapserver.ErrAuthFailed
			}
			return s.Login(name, password)
		})
	case "LOGIN":
		return &asking{questions: []string{"Username:", "Password:"}, check: func(answers []string) error {
			return s.Login(answers[0], answers[1])
		}}
	case "ANONYMOUS":
		return gosasl.NewAnonymousServer(func(string) error { return s.enter("anonymous") })
	}
	return nil
}

// external: whoever has a certificate of ours may act for everybody.
func (s *mailSession) external(identity string) error {
	secured, _ := s.secured()
	if secured == nil || len(secured.PeerCertificates) == 0 {
		return imapserver.ErrAuthFailed
	}
	return s.enter(cmp.Or(identity, secured.PeerCertificates[0].Subject.CommonName))
}

// bearer: there is one token for all, as there is one password.
func (s *mailSession) bearer(name, token string) error {
	if name == "" || token != s.store.token {
		return imapserver.ErrAuthFailed
	}
	return s.enter(name)
}

func (s *mailSession) beginCRAM() gosasl.Server {
	challenge := "<" + rand.Text() + "@imload>"
	return &asking{questions: []string{challenge}, check: func(answers []string) error {
		name, digest, _ := cutLast(answers[0], " ")
		mac := hmac.New(md5.New, []byte(s.store.password))
		mac.Write([]byte(challenge))
		if !hmac.Equal([]byte(digest), []byte(hex.EncodeToString(mac.Sum(nil)))) {
			return imapserver.ErrAuthFailed
		}
		return s.enter(name)
	}}
}

func cutLast(s, separator string) (before, after string, found bool) {
	at := strings.LastIndex(s, separator)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(separator):], true
}

func (s *mailSession) beginSCRAM(server *scram.Server, bound bool) gosasl.Server {
	_, binding := s.secured()
	x := &scramServer{enter: s.enter, talk: server.NewConversationWithChannelBinding(binding)}
	if bound {
		x.talk = server.NewConversationWithChannelBindingRequired(binding)
	}
	return x
}

// scramServer is go-sasl's idea of a server around the one of xdg-go.
type scramServer struct {
	talk  *scram.ServerConversation
	enter func(name string) error
}

// Next ends with the client's empty answer to our proof.
func (x *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte{}, false, nil
	case x.talk.Done():
		if name, as := x.talk.Username(), x.talk.AuthzID(); !x.talk.Valid() || cmp.Or(as, name) != name {
			return nil, false, imapserver.ErrAuthFailed
		}
		return nil, true, x.enter(x.talk.Username())
	}
	reply, err := x.talk.Step(string(response))
	return []byte(reply), false, err
}

// asking is a server that asks, and looks at the answers when it has them all.
type asking struct {
	questions []string
	answers   []string
	check     func(answers []string) error
}

func (x *asking) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		x.answers = append(x.answers, string(response))
	}
	if len(x.answers) < len(x.questions) {
		return []byte(x.questions[len(x.answers)]), false, nil
	}
	return nil, true, x.check(x.answers)
}

// xoauth2Server explains in a challenge why it refuses, and does when that is answered.
type xoauth2Server struct {
	check   func(name, token string) error
	refused error
}

func (x *xoauth2Server) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil || x.refused != nil {
		return []byte{}, false, x.refused
	}
	name, rest, _ := bytes.Cut(bytes.TrimPrefix(response, []byte("user=")), []byte("\x01auth=Bearer "))
	x.refused = x.check(string(name), string(bytes.TrimSuffix(rest, []byte("\x01\x01"))))
	if x.refused != nil {
		return []byte(`{"status":"401","schemes":"bearer"}`), false, nil
	}
	return nil, true, nil
}

// refusing makes a refusal of every error: go-imap takes others for bugs of its own.
type refusing struct{ gosasl.Server }

func (r refusing) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, done, err = r.Server.Next(response); err != nil {
		return nil, false, imapserver.ErrAuthFailed
	}
	return challenge, done, nil
}

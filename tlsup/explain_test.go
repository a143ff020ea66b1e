package tlsup

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Each fault of a certificate, by a real handshake, with what a person is told.
func TestExplainCertificates(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	expired := func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }
	early := func(c *x509.Certificate) { c.NotBefore = today.AddDate(0, 0, 1) }
	weak := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	imposter := newRoot(t, "Root") // the same name, another key
	narrow := root.intermediate(t, "Narrow", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
	})
	short := root.intermediate(t, "Short", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	expiredRoot := newRoot(t, "Old Root", expired)
	tooMany := make([]string, 30)
	for i := range tooMany {
		tooMany[i] = fmt.Sprintf("host%d.example.com", i)
	}
	rootless := other.intermediate(t, "Lost")
	withRoot := other.leaf(t, mail.Host)
	withRoot.Certificate = append(withRoot.Certificate, other.cert.Raw)
	isHostname, isInvalid, isUnknown := as[x509.HostnameError], as[x509.CertificateInvalidError], as[x509.UnknownAuthorityError]
	for _, tc := range []struct {
		name string
		cert tls.Certificate
		is   func(error) bool
		want []string
	}{
		{"expired", root.leaf(t, mail.Host, expired), isInvalid,
			[]string{"it expired on 2026-05-31 12:00:00 UTC", "this machine's clock, which says 2026-06-01 12:00:00 UTC, is wrong"}},
		{"not yet valid", root.leaf(t, mail.Host, early), isInvalid,
			[]string{"it is not valid before 2026-06-02 12:00:00 UTC", "clock"}},
		{"another name", root.leaf(t, mail.Host, names("a.example.com", "192.0.2.1")), isHostname,
			[]string{`it is for "a.example.com", 192.0.2.1, not for "mail.example.org"`, "Config.ServerName"}},
		{"many names", root.leaf(t, mail.Host, names(tooMany...)), isHostname,
			[]string{`"host4.example.com" and 25 more, not for`}},
		{"common name only", root.leaf(t, mail.Host, names()), isHostname,
			[]string{`a common name only ("cn.mail.example.org")`, "subjectAltName"}},
		{"no name", root.leaf(t, mail.Host, names(), func(c *x509.Certificate) { c.Subject.CommonName = "" }), isHostname,
			[]string{"it is for no name at all"}},
		{"unknown issuer", other.leaf(t, mail.Host), isUnknown,
			[]string{`its issuer "CN=Other" is not known`, "Files.CA, Files.CAPath", "leaves out an intermediate"}},
		{"unknown issuer of an intermediate", rootless.leaf(t, mail.Host), isUnknown,
			[]string{`the issuer "CN=Other" at the end of its chain is not known`, "Files.CA"}},
		{"unknown root that is sent", withRoot, isUnknown,
			[]string{`its chain ends in a self-signed certificate ("CN=Other")`, "Files.CA"}},
		{"self-signed", selfSigned(t, mail.Host), isUnknown,
			[]string{`it is self-signed ("CN=cn.mail.example.org")`, "Files.CA"}},
		{"authority of the same name", imposter.leaf(t, mail.Host), isUnknown,
			[]string{`an authority of the name of its issuer ("Root") is known, but did not sign it`, "Files.CA"}},
		{"not for servers", root.leaf(t, mail.Host, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), isInvalid,
			[]string{"it is not made for servers", "serverAuth"}},
		{"weak signature", root.leaf(t, mail.Host, weak), isUnknown,
			[]string{"signed with ECDSA-SHA1, which is too weak"}},
		{"weak signature above", root.intermediate(t, "Weak", weak).leaf(t, mail.Host), isUnknown,
			[]string{"signed with ECDSA-SHA1, which is too weak"}},
		{"expired intermediate", root.intermediate(t, "Middle", expired).leaf(t, mail.Host), isInvalid,
			[]string{`the certificate of its authority "CN=Middle" expired on 2026-05-31 12:00:00 UTC`, "clock"}},
		{"expired root", expiredRoot.leaf(t, mail.Host), isInvalid,
			[]string{`the certificate of its authority "CN=Old Root" expired on 2026-05-31 12:00:00 UTC`, "clock"}},
		{"too many intermediates", short.intermediate(t, "Below").leaf(t, mail.Host), isInvalid,
			[]string{"path length"}},
		{"name constraints", narrow.leaf(t, mail.Host), isInvalid,
			[]string{"name constraints", "example.org"}},
		{"signed by no authority", fakeAuthority(t, root).leaf(t, mail.Host), isUnknown,
			[]string{`it was signed by "Plain", which is no authority`}},
		{"unknown critical extension", root.leaf(t, mail.Host, critical), as[x509.UnhandledCriticalExtension],
			[]string{"a critical extension"}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			p := trusting(root, expiredRoot)
			server := serverConfig(tc.cert)
			server.MaxVersion = version
			m := meet(t, configFor(t, p, mail), server)
			if m.clientErr == nil {
				t.Errorf("%s: the certificate is not accepted", tc.name)
				continue
			}
			explained := p.Explain(mail, m.clientErr)
			var fault *CertificateError
			if !errors.As(explained, &fault) || fault.Host != mail.Host || fault.Err != m.clientErr {
				t.Errorf("%s: it is a fault of the certificate\n got: %T %v", tc.name, explained, explained)
				continue
			}
			for _, want := range append(tc.want, `tlsup: the certificate of "mail.example.org" is not accepted: `) {
				if !strings.Contains(explained.Error(), want) {
					t.Errorf("%s: the error says what is wrong and what to do\n got: %v\nwant: %s", tc.name, explained, want)
				}
			}
			if !tc.is(explained) || !as[*tls.CertificateVerificationError](explained) {
				t.Errorf("%s: what crypto/tls said is in the error\n got: %#v", tc.name, m.clientErr)
			}
		}
	}
}

func critical(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
}

// fakeAuthority signs with a certificate that may not.
func fakeAuthority(t *testing.T, root *issuer) *issuer {
	return root.intermediate(t, "Plain", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
}

func TestExplainPins(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.leaf(t, mail.Host)
	p := trusting(root)
	p.Pins = [][32]byte{{}}
	m := meet(t, configFor(t, p, mail), serverConfig(leaf))
	explained := p.Explain(mail, m.clientErr)
	if !as[*CertificateError](explained) || !as[*PinError](explained) || !strings.Contains(m.clientErr.Error(), "not pinned") {
		t.Fatalf("a key that is not pinned is a fault of the certificate\n got: %v", explained)
	}
	for _, want := range []string{
		fmt.Sprintf(`%x of "CN=cn.mail.example.org"`, Pin(leaf.Leaf)),
		fmt.Sprintf(`%x of "CN=Root"`, Pin(root.cert)),
	} {
		if !strings.Contains(explained.Error(), want) {
			t.Errorf("the pins that would do are told\n got: %v\nwant: %s", explained, want)
		}
	}
}

func TestExplainNamesTheFiles(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	f := newFolder(t)
	ca := f.write("ca.pem", certPEM(root.cert.Raw))
	p := &Policy{Config: &tls.Config{Time: clock}}
	peer := mail
	peer.Files = Files{CA: ca}
	m := meet(t, configFor(t, p, peer), serverConfig(other.leaf(t, mail.Host)))
	if err := p.Explain(peer, m.clientErr); !strings.Contains(err.Error(), "add it to ") || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("the file that lacks the authority is named\n got: %v", err)
	}
}

// Whatever a certificate says of itself is quoted and cut.
func TestExplainHostileText(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	evil := "\x1b[2J\r\nOK \u202e" + strings.Repeat("x", 5000)
	many := make([]string, 100)
	for i := range many {
		many[i] = strings.Repeat("y", 5000)
	}
	subject := func(c *x509.Certificate) { c.Subject.CommonName = evil }
	for name, cert := range map[string]tls.Certificate{
		"names":         root.leaf(t, mail.Host, names(many...)),
		"common name":   root.leaf(t, mail.Host, names(), subject),
		"self-signed":   selfSigned(t, mail.Host, subject),
		"issuer":        newRoot(t, "x", subject).leaf(t, mail.Host),
		"intermediates": other.intermediate(t, "x", subject).intermediate(t, "y", subject).leaf(t, mail.Host),
		"hint":          newRoot(t, "Root", func(c *x509.Certificate) { c.SubjectKeyId = []byte(evil) }).leaf(t, mail.Host, subject),
		"expired":       root.intermediate(t, "x", subject, func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }).leaf(t, mail.Host),
	} {
		for _, pins := range [][][32]byte{nil, {{}}} {
			p := trusting(root)
			p.Pins, p.Unverified = pins, pins != nil
			m := meet(t, configFor(t, p, mail), serverConfig(cert))
			text := p.Explain(mail, m.clientErr).Error()
			if len(text) > 2500 || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
				t.Errorf("%s: text of the server's is harmless and short\n got: %d bytes: %q", name, len(text), text[:min(len(text), 500)])
			}
		}
	}
}

// script answers a ClientHello with these bytes and says what the client made of it.
func script(t *testing.T, config *tls.Config, answer []byte) error {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		theirs.Read(make([]byte, 16<<10))
		theirs.Write(answer)
		theirs.Close()
	}()
	defer ours.Close()
	return tls.Client(ours, config).Handshake()
}

// Each alert is told by its name, the unknown ones by their number.
func TestExplainAlerts(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	p := trusting(root)
	with := mail
	with.Files = f.writePair("cert.pem", "key.pem", root.leaf(t, "alice"))
	aboutUs := []int{42, 43, 44, 45, 46, 48, 49, 113, 116}
	seen := map[string]bool{}
	for code := range 256 {
		err := script(t, configFor(t, p, mail), []byte{21, 3, 3, 0, 2, 2, byte(code)})
		var alert *HandshakeError
		if !errors.As(p.Explain(mail, err), &alert) || alert.Err != err || alert.Host != mail.Host {
			t.Errorf("an alert is a failed handshake\n got: %v", err)
			continue
		}
		if code == 0 { // crypto/tls says io.EOF
			continue
		}
		if alert.Alert == "" || seen[alert.Alert] || !strings.Contains(alert.Error(), "the server refused our handshake: alert "+alert.Alert) || alert.Remedy == "" {
			t.Errorf("each alert has a name of its own, and a remedy: %d\n got: %+v", code, alert)
		}
		seen[alert.Alert] = true
		errors.As(p.Explain(with, err), &alert)
		if slices.Contains(aboutUs, code) != strings.Contains(alert.Error(), "cert.pem") {
			t.Errorf("an alert about our certificate names its file: %d\n got: %v", code, alert)
		}
	}
	for code, want := range map[byte]string{
		42:  "alert bad_certificate: it does not accept our certificate; name a client certificate",
		40:  "alert handshake_failure: ",
		48:  "alert unknown_ca: ",
		70:  "alert protocol_version: it knows no TLS version that we may use; 1.2 is the least",
		112: "alert unrecognized_name: ",
		116: "alert certificate_required: it wants a client certificate; name a client certificate (Files.Cert, Files.Key)",
		120: "alert no_application_protocol: ",
		200: "alert 200: ",
	} {
		err := p.Explain(mail, script(t, configFor(t, p, mail), []byte{21, 3, 3, 0, 2, 2, code}))
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the alert says what is wrong\n got: %v\nwant: %s", err, want)
		}
	}
}

func TestExplainHandshakes(t *testing.T) {
	root := newRoot(t, "Root")
	p := trusting(root)
	implicit := mail
	implicit.Implicit = true
	oldHello := append([]byte{22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1}, make([]byte, 36)...)
	oldHello[len(oldHello)-2] = 47
	// A ServerHello of TLS 1.2 with ECDHE-ECDSA-AES128-GCM, plain and with ALPN "x".
	hello := slices.Concat([]byte{22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3}, make([]byte, 32), []byte{0, 0xc0, 0x2b, 0})
	strangeALPN := slices.Concat([]byte{22, 3, 3, 0, 52, 2, 0, 0, 48, 3, 3}, make([]byte, 32), []byte{0, 0xc0, 0x2b, 0, 0, 8, 0, 16, 0, 4, 0, 2, 1, 'x'})
	for _, tc := range []struct {
		name   string
		peer   Peer
		answer []byte
		want   []string
	}{
		{"TLS 1.0", mail, oldHello, []string{"the server offers TLS 1.0 or 1.1 at most; 1.2 is required"}},
		{"a greeting", implicit, []byte("* OK ready\r\n"), []string{`not TLS: it began with "* OK "`, "STARTTLS"}},
		{"clear text behind STARTTLS", mail, []byte("* BAD what?\r\n"), []string{`it began with "* BAD"`, "on the path"}},
		{"end", mail, nil, []string{"closed the connection in the middle of the handshake"}},
		{"end within a record", mail, []byte{22, 3}, []string{"closed the connection in the middle of the handshake"}},
		{"data within the handshake", mail, append(hello, 23, 3, 3, 0, 1, 0), []string{"the server broke the protocol, and was told so: alert unexpected_message"}},
		{"ALPN that was not asked for", mail, strangeALPN, []string{"a protocol that we did not offer", "another service's"}},
		{"another message", mail, []byte{22, 3, 3, 0, 4, 14, 0, 0, 0}, []string{`no TLS with "mail.example.org": received unexpected handshake message`}},
		{"a record that cannot be", mail, []byte{22, 3, 3, 255, 255}, []string{"no TLS with"}},
	} {
		err := script(t, configFor(t, p, tc.peer), tc.answer)
		explained := p.Explain(tc.peer, err)
		if !as[*HandshakeError](explained) || errors.Unwrap(explained) != err {
			t.Errorf("%s: it is a failed handshake\n got: %v", tc.name, explained)
		}
		for _, want := range tc.want {
			if !strings.Contains(explained.Error(), want) {
				t.Errorf("%s: the error says what is wrong and what to do\n got: %v\nwant: %s", tc.name, explained, want)
			}
		}
	}
}

func TestExplainWhatIsNotTLS(t *testing.T) {
	p := &Policy{}
	implicit := mail
	implicit.Implicit = true
	for _, tc := range []struct {
		peer Peer
		err  error
		want string
	}{
		{implicit, &NotTLSError{Input: []byte("* OK hi\r\n"), First: true}, `it began with "* OK hi\r\n"; its port may want STARTTLS`},
		{mail, &NotTLSError{Input: []byte("* OK hi\r\n"), First: true}, "it took STARTTLS and went on in the clear"},
		{mail, &NotTLSError{Input: []byte("\x00")}, `no longer TLS: it went on with "\x00"`},
		{implicit, tls.RecordHeaderError{}, `not TLS: it began with "\x00\x00\x00\x00\x00"; its port`},
	} {
		explained := p.Explain(tc.peer, tc.err)
		if !as[*HandshakeError](explained) || errors.Unwrap(explained) != tc.err || !strings.Contains(explained.Error(), tc.want) {
			t.Errorf("what is not TLS is shown\n got: %v\nwant: %s", explained, tc.want)
		}
	}
}

// A server refuses our certificate, under TLS 1.3 when we think all is done.
func TestExplainRefusedClients(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	f := newFolder(t)
	alice := f.writePair("cert.pem", "key.pem", other.leaf(t, "alice"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		p := trusting(root)
		server := serverConfig(root.leaf(t, mail.Host))
		server.MaxVersion, server.ClientAuth, server.ClientCAs = version, tls.RequireAndVerifyClientCert, pool(root.cert)
		m := meet(t, configFor(t, p, mail), server)
		if err := p.Explain(mail, m.clientErr); err == nil || !strings.Contains(err.Error(), "name a client certificate") {
			t.Errorf("%s: a server that wants a certificate is told\n got: %v", tls.VersionName(version), err)
		}
		with := mail
		with.Files = alice
		m = meet(t, configFor(t, p, with), server)
		if err := p.Explain(with, m.clientErr); err == nil || !strings.Contains(err.Error(), "cert.pem") || !strings.Contains(err.Error(), "alert ") {
			t.Errorf("%s: a certificate that is refused is named\n got: %v", tls.VersionName(version), err)
		}
	}
}

func TestExplainOtherCertificateFaults(t *testing.T) {
	p := &Policy{}
	for _, err := range []error{
		errors.New("tls: failed to parse certificate from server: x509: malformed"),
		errors.New("tls: server sent certificate containing RSA key larger than 8192 bits"),
		errors.New("tls: invalid signature by the server certificate: no"),
		x509.SystemRootsError{},
		&tls.CertificateVerificationError{Err: x509.ConstraintViolationError{}},
		x509.UnknownAuthorityError{Cert: &x509.Certificate{}},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign},
		&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NoValidChains}},
	} {
		explained := p.Explain(mail, err)
		if !as[*CertificateError](explained) || errors.Unwrap(explained) != err {
			t.Errorf("it is a fault of the certificate\n got: %T %v", explained, explained)
		}
	}
}

func TestExplainLeavesErrorsAlone(t *testing.T) {
	p := &Policy{}
	if p.Explain(mail, nil) != nil {
		t.Error("no error is none")
	}
	for _, err := range []error{&CertificateError{}, &HandshakeError{}, &FileError{}, &HostError{}, fmt.Errorf("x: %w", &FileError{})} {
		if p.Explain(mail, err) != err {
			t.Errorf("what is explained is not explained again\n got: %v", p.Explain(mail, err))
		}
	}
	if got := p.Explain(mail, io.ErrNoProgress); !errors.Is(got, io.ErrNoProgress) || !as[*HandshakeError](got) {
		t.Errorf("an error that nobody knows is passed on\n got: %v", got)
	}
}

func TestHint(t *testing.T) {
	for _, tc := range []struct{ text, why, authority string }{
		{"x509: certificate signed by unknown authority", "", ""},
		{`x509: no (possibly because of "a \"b\"" while trying to verify candidate authority certificate "c \"d\"")`, `a "b"`, `c "d"`},
		{`x509: no (possibly because of "a"`, "a", ""},
		{`x509: no (possibly because of nothing`, "", ""},
	} {
		if why, authority := hint(tc.text); why != tc.why || authority != tc.authority {
			t.Errorf("the hint is taken out of the text\n text: %s\n got: %q, %q\nwant: %q, %q", tc.text, why, authority, tc.why, tc.authority)
		}
	}
}

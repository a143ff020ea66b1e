package tlsup

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// rfc1421 is a key under a passphrase as OpenSSL used to write it, but for its
// content, which nobody gets to see.
const rfc1421 = `-----BEGIN EC PARAMETERS-----
BggqhkjOPQMBBw==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF

c2VjcmV0
-----END EC PRIVATE KEY-----
`

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestFaultsOfFiles(t *testing.T) {
	root := newRoot(t, "Root")
	middle := root.intermediate(t, "Middle")
	alice, bob := middle.leaf(t, "alice"), middle.leaf(t, "bob")
	aliceCert, aliceKey := certPEM(alice.Certificate...), keyPEM(t, alice.PrivateKey)
	encrypted := pemOf("ENCRYPTED PRIVATE KEY", []byte("secret"))
	f := newFolder(t)
	if err := os.Mkdir(f.join("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.write("dir/readme", []byte("no certificate here"))
	f.write("dir/key.pem", aliceKey)
	f.write("broken-dir/ca.pem", pemOf("CERTIFICATE", []byte("junk")))
	good := Files{Cert: f.write("good.pem", aliceCert), Key: f.write("good.key", aliceKey)}
	cert := func(data []byte) Files { return Files{Cert: f.write("cert.pem", data), Key: good.Key} }
	key := func(data []byte) Files { return Files{Cert: good.Cert, Key: f.write("key.pem", data)} }
	ca := func(data []byte) Files { return Files{CA: f.write("ca.pem", data)} }
	for _, tc := range []struct {
		name  string
		files func() Files // called when its case comes: the cases share names of files
		file  string
		want  string
	}{
		{"no certificate file", func() Files { return Files{Cert: f.join("none"), Key: good.Key} }, "none", "there is no such file"},
		{"no key file", func() Files { return Files{Cert: good.Cert, Key: f.join("none")} }, "none", "there is no such file"},
		{"no CA file", func() Files { return Files{CA: f.join("none")} }, "none", "there is no such file"},
		{"no CA directory", func() Files { return Files{CAPath: f.join("none")} }, "none", "there is no such file"},
		{"key only", func() Files { return Files{Key: good.Key} }, "good.key", "a key without a certificate"},
		{"empty certificate", func() Files { return cert(nil) }, "cert.pem", "it is empty"},
		{"blank certificate", func() Files { return cert([]byte("\n \n")) }, "cert.pem", "it is empty"},
		{"empty key", func() Files { return key(nil) }, "key.pem", "it is empty"},
		{"empty CA", func() Files { return ca(nil) }, "ca.pem", "it is empty"},
		{"not PEM", func() Files { return cert([]byte("hello")) }, "cert.pem", "it is not PEM"},
		{"DER", func() Files { return cert(alice.Certificate[0]) }, "cert.pem", "may be DER"},
		{"cut short", func() Files { return cert(aliceCert[:200]) }, "cert.pem", "broken or cut short"},
		{"junk certificate", func() Files { return cert(pemOf("CERTIFICATE", []byte("junk"))) }, "cert.pem", "(PEM block 1) is none"},
		{"junk key", func() Files { return key(pemOf("PRIVATE KEY", []byte("junk"))) }, "key.pem", "no form or kind"},
		{"key for a certificate", func() Files { return cert(aliceKey) }, "cert.pem", `no certificate, but "PRIVATE KEY"`},
		{"certificate for a key", func() Files { return key(aliceCert) }, "key.pem", `no private key, but "CERTIFICATE"`},
		{"no key in the combined file", func() Files { return Files{Cert: good.Cert} }, "good.pem", "it holds no private key"},
		{"another's key", func() Files { return key(keyPEM(t, bob.PrivateKey)) }, "key.pem", "not that of the certificate in"},
		{"wrong order", func() Files { return cert(certPEM(middle.cert.Raw, alice.Certificate[0])) }, "cert.pem", "wrong order"},
		{"PKCS #8 under a passphrase", func() Files { return key(encrypted) }, "key.pem", "under a passphrase"},
		{"RFC 1421 under a passphrase", func() Files { return key([]byte(rfc1421)) }, "key.pem", "under a passphrase"},
		{"combined under a passphrase", func() Files { return Files{Cert: f.write("both.pem", append(encrypted, aliceCert...))} }, "both.pem", "openssl pkey"},
		{"directory for a certificate", func() Files { return Files{Cert: f.join("folder"), Key: good.Key} }, "folder", "it is a directory"},
		{"directory for a CA file", func() Files { return Files{CA: f.join("folder")} }, "folder", "it is a directory"},
		{"file for a CA directory", func() Files { return Files{CAPath: good.Cert} }, "good.pem", "it is not a directory"},
		{"device", func() Files { return Files{CA: os.DevNull} }, "null", "not a regular file"},
		{"key in a CA file", func() Files { return Files{CA: good.Key} }, "good.key", `no certificate, but "PRIVATE KEY"`},
		{"OpenSSL's trusted form", func() Files { return ca(pemOf("TRUSTED CERTIFICATE", root.cert.Raw)) }, "ca.pem", "openssl x509"},
		{"junk in a CA file", func() Files { return ca(pemOf("CERTIFICATE", []byte("junk"))) }, "ca.pem", "(PEM block 1) is none"},
		{"giant", func() Files { return ca(make([]byte, maxFile+1)) }, "ca.pem", "more than 16 MiB"},
		{"empty CA directory", func() Files { return Files{CAPath: f.join("folder")} }, "folder", "no file in this directory"},
		{"CA directory without certificates", func() Files { return Files{CAPath: f.join("dir")} }, "dir", "no file in this directory"},
		{"the same beside a CA file", func() Files { return Files{CA: good.Cert, CAPath: f.join("dir")} }, "dir", "no file in this directory"},
		{"CA directory of junk", func() Files { return Files{CAPath: f.join("broken-dir")} }, "broken-dir", "no file in this directory"},
	} {
		p := &Policy{Files: tc.files()}
		for range 2 {
			config, _, err := p.For(mail)
			var fault *FileError
			if !errors.As(err, &fault) || config != nil {
				t.Errorf("%s: a bad file is refused\n got: %v", tc.name, err)
				continue
			}
			if !strings.HasSuffix(fault.File, tc.file) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: the error says which file and what is wrong with it\n got: %v\nwant: %s: %s", tc.name, err, tc.file, tc.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2Vj") {
				t.Errorf("%s: nothing that a key file holds is told\n got: %v", tc.name, err)
			}
		}
	}
	var missing *FileError
	_, _, err := (&Policy{Files: Files{CA: f.join("none")}}).For(mail)
	if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the system said is in the error\n got: %v", err)
	}
}

func TestFormsOfFiles(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	alice := other.intermediate(t, "Middle").leaf(t, "alice")
	sec1, err := x509.MarshalECPrivateKey(alice.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	parameters, _, _ := strings.Cut(rfc1421, "-----BEGIN EC PRIVATE KEY")
	certs, key := certPEM(alice.Certificate...), keyPEM(t, alice.PrivateKey)
	f := newFolder(t)
	combined := f.write("combined.pem", append(append([]byte("a remark\n"), key...), certs...))
	cert := f.write("cert.pem", certs)
	for name, files := range map[string]Files{
		"two files":            {Cert: cert, Key: f.write("key.pem", key)},
		"combined":             {Cert: combined},
		"combined, said twice": {Cert: combined, Key: combined},
		"certificates first":   {Cert: f.write("first.pem", append(certs, key...))},
		"SEC 1":                {Cert: cert, Key: f.write("sec1.pem", append([]byte(parameters), pemOf("EC PRIVATE KEY", sec1)...))},
	} {
		p := &Policy{Files: files}
		config := configFor(t, p, mail)
		got := p.targets[Peer{Host: mail.Host, Port: mail.Port, Files: files}].identity.value.certificate
		if config.GetClientCertificate == nil || len(got.Certificate) != 2 || string(got.Certificate[1]) != string(alice.Certificate[1]) {
			t.Errorf("%s: certificate, key and chain are found, in the file's order\n got: %d certificates", name, len(got.Certificate))
		}
	}

	f.write("dir/1a2b3c4d.0", append([]byte("subject=whatever\n"), certPEM(other.cert.Raw)...))
	f.write("dir/README", []byte("what is this"))
	f.write("dir/empty", nil)
	f.write("dir/root.der", root.cert.Raw)
	f.write("dir/below/root.pem", certPEM(root.cert.Raw))
	if err := os.Symlink("nowhere", f.join("dir/dangling.pem")); err != nil {
		t.Fatal(err)
	}
	rootServer, otherServer := serverConfig(root.leaf(t, mail.Host)), serverConfig(other.leaf(t, mail.Host))
	for name, tc := range map[string]struct {
		files       Files
		root, other bool
	}{
		"file":              {Files{CA: f.write("root.pem", certPEM(root.cert.Raw))}, true, false},
		"file of two":       {Files{CA: f.write("two.pem", certPEM(root.cert.Raw, other.cert.Raw))}, true, true},
		"old label":         {Files{CA: f.write("old.pem", pemOf("X509 CERTIFICATE", root.cert.Raw))}, true, false},
		"directory":         {Files{CAPath: f.join("dir")}, false, true},
		"file and folder":   {Files{CA: f.join("root.pem"), CAPath: f.join("dir")}, true, true},
		"with a client's":   {Files{Cert: combined, CA: f.join("root.pem")}, true, false},
		"neither: RootCAs":  {Files{}, true, false},
		"not files: client": {Files{Cert: combined}, true, false},
	} {
		p := trusting(root)
		p.Files, p.Sessions = tc.files, -1
		config, warnings, err := p.For(mail)
		if err != nil || len(warnings) != 0 {
			t.Errorf("%s: nothing is wrong\n got: %q, %v", name, warnings, err)
			continue
		}
		if got := meet(t, config, rootServer).clientErr == nil; got != tc.root {
			t.Errorf("%s: Root is trusted\n got: %t\nwant: %t", name, got, tc.root)
		}
		if got := meet(t, config, otherServer).clientErr == nil; got != tc.other {
			t.Errorf("%s: Other is trusted\n got: %t\nwant: %t", name, got, tc.other)
		}
	}
}

func TestBadCertificatesAmongAuthorities(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	junk := pemOf("CERTIFICATE", []byte("junk"))
	p := &Policy{Files: Files{CA: f.write("ca.pem", append(junk, certPEM(root.cert.Raw)...)), CAPath: f.join("dir")}}
	f.write("dir/good.pem", certPEM(root.cert.Raw))
	for _, name := range []string{"dir/1", "dir/2", "dir/3", "dir/4"} {
		f.write(name, junk)
	}
	_, warnings, err := p.For(mail)
	if err != nil || len(warnings) != 4 || !strings.Contains(warnings[0], "ca.pem") || !strings.Contains(warnings[3], "2 more") {
		t.Errorf("certificates that cannot be read are passed over with warnings, while there are others\n got: %q, %v", warnings, err)
	}
	if _, warnings, _ = p.For(mail); len(warnings) != 0 {
		t.Errorf("the warnings come once\n got: %q", warnings)
	}
}

func TestClientCertificateOutOfDate(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	for name, tc := range map[string]struct {
		change edit
		want   string
	}{
		"expired": {func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }, "expired on 2026-05-31 12:00:00 UTC"},
		"early":   {func(c *x509.Certificate) { c.NotBefore = today.AddDate(0, 0, 1) }, "not valid before 2026-06-02 12:00:00 UTC"},
	} {
		p := trusting(root)
		p.Files = f.writePair("cert.pem", "key.pem", root.leaf(t, "alice", tc.change))
		config, warnings, err := p.For(mail)
		if err != nil || config == nil || len(warnings) != 1 || !strings.Contains(warnings[0], tc.want) {
			t.Errorf("%s: a client certificate that is out of date is used, with a warning\n got: %q, %v", name, warnings, err)
		}
		if _, warnings, _ = p.For(mail); len(warnings) != 0 {
			t.Errorf("%s: the warning comes once\n got: %q", name, warnings)
		}
	}

	// One that expires while the process runs.
	now := today
	p := trusting(root)
	p.Config.Time = func() time.Time { return now }
	p.Files = f.writePair("cert.pem", "key.pem", root.leaf(t, "alice"))
	if _, warnings, _ := p.For(mail); len(warnings) != 0 {
		t.Errorf("a certificate in its time is no cause for a warning\n got: %q", warnings)
	}
	now = now.AddDate(2, 0, 0)
	if _, warnings, _ := p.For(mail); len(warnings) != 1 {
		t.Errorf("a certificate that expires in use warns\n got: %q", warnings)
	}
}

func TestLeafIsParsed(t *testing.T) {
	t.Setenv("GODEBUG", "x509keypairleaf=0")
	root := newRoot(t, "Root")
	p := trusting(root)
	p.Files = newFolder(t).writePair("cert.pem", "key.pem", root.leaf(t, "alice", func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }))
	if _, warnings, err := p.For(mail); err != nil || len(warnings) != 1 {
		t.Errorf("the dates of a certificate are known in any mode of crypto/tls\n got: %q, %v", warnings, err)
	}
}

func TestUnreadableFile(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{fs.ErrPermission, "may not read it; let its user"},
		{errors.New("I/O error"), "cannot be read: I/O error"},
	} {
		err := unreadable("key.pem", tc.err)
		if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("what the system said is told\n got: %v\nwant: %s", err, tc.want)
		}
	}
}

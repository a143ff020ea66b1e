package tlsup

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"
)

// A renewal is a policy whose files change under it.
type renewal struct {
	t    *testing.T
	f    *folder
	p    *Policy
	last *tls.Config
}

// check calls For and compares: whether another config comes, and what warns ("":
// nothing).
func (r *renewal) check(what string, fresh bool, warning string) {
	r.t.Helper()
	config, warnings, err := r.p.For(mail)
	if err != nil {
		r.t.Errorf("%s: files that were good once are an error no more\n got: %v", what, err)
		return
	}
	if got := config != r.last; got != fresh {
		r.t.Errorf("%s: a new config comes when, and only when, files changed for good\n got: %t\nwant: %t", what, got, fresh)
	}
	if all := strings.Join(warnings, "\n"); warning == "" && all != "" || !strings.Contains(all, warning) || len(warnings) > 1 {
		r.t.Errorf("%s: a change for bad warns, once\n got: %q\nwant: %q", what, warnings, warning)
	}
	r.last = config
}

func (r *renewal) identity() string {
	id := r.p.targets[Peer{Host: mail.Host, Port: mail.Port, Files: r.p.Files}].identity.value
	return id.certificate.Leaf.DNSNames[0]
}

func TestRenewedIdentity(t *testing.T) {
	root := newRoot(t, "Root")
	r := &renewal{t: t, f: newFolder(t), p: trusting(root)}
	old, renewed := root.leaf(t, "old"), root.leaf(t, "new")
	r.p.Files = r.f.writePair("cert.pem", "key.pem", old)
	r.check("first", true, "")
	r.check("nothing changed", false, "")

	r.f.write("cert.pem", certPEM(renewed.Certificate...))
	r.check("the certificate is there before its key", false, "not that of the certificate in")
	r.check("still", false, "")
	if r.identity() != "old" {
		t.Error("the old certificate stays in use")
	}
	r.f.write("key.pem", keyPEM(t, renewed.PrivateKey))
	r.check("the key followed", true, "")
	if r.identity() != "new" {
		t.Error("the new certificate is used")
	}

	r.f.write("key.pem", []byte("junk"))
	r.check("bad", false, "it is not PEM")
	r.f.write("key.pem", nil)
	r.check("bad in another way", false, "it is empty")
	r.check("still", false, "")
	if err := os.Remove(r.f.join("key.pem")); err != nil {
		t.Fatal(err)
	}
	r.check("gone", false, "there is no such file")
	r.check("still", false, "")
	r.f.write("key.pem", keyPEM(t, renewed.PrivateKey))
	r.check("back", true, "")

	r.f.age("key.pem")
	r.check("touched", false, "")
}

// Each way to replace a file is seen, and each by itself: size, time, inode.
func TestWaysToReplaceAFile(t *testing.T) {
	root, other := newRoot(t, "Root A"), newRoot(t, "Root B")
	one, two := certPEM(root.cert.Raw), certPEM(other.cert.Raw)
	for len(one) != len(two) { // DER of ECDSA signatures varies
		other = newRoot(t, "Root B")
		two = certPEM(other.cert.Raw)
	}
	r := &renewal{t: t, f: newFolder(t), p: &Policy{}}
	path := r.f.write("ca.pem", one)
	then := r.f.time
	r.p.Files.CA = path
	r.check("first", true, "")

	r.f.write("ca.pem", two)
	r.check("same size, same inode, other time", true, "")
	r.f.time = then.Add(-time.Hour)
	r.f.write("ca.pem", one)
	r.check("an older time", true, "")
	r.f.time = then.Add(-time.Hour)
	r.f.write("ca.pem", append(two, '\n'))
	r.check("same time, same inode, other size", true, "")

	r.f.time = then.Add(-time.Hour)
	r.f.write("new.pem", append(one, '\n'))
	if err := os.Rename(r.f.join("new.pem"), path); err != nil {
		t.Fatal(err)
	}
	r.check("same time, same size, other inode", true, "")

	// As certbot and Kubernetes do it.
	r.f.write("a.pem", one)
	r.f.time = r.f.time.Add(-time.Hour)
	r.f.write("b.pem", two)
	for _, target := range []string{"a.pem", "b.pem"} {
		if err := os.Symlink(target, r.f.join("link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(r.f.join("link"), path); err != nil {
			t.Fatal(err)
		}
		r.check("a symbolic link to "+target, true, "")
	}
}

// A file that changes twice between two ticks of its file system's clock looks the
// same. That it may have is known when it is read shortly after it was written.
func TestChangeWithinATick(t *testing.T) {
	root, other := newRoot(t, "Root A"), newRoot(t, "Root B")
	one, two := certPEM(root.cert.Raw), certPEM(other.cert.Raw)
	for len(one) != len(two) {
		other = newRoot(t, "Root B")
		two = certPEM(other.cert.Raw)
	}
	r := &renewal{t: t, f: newFolder(t), p: &Policy{}}
	r.p.Files.CA = r.f.join("ca.pem")
	now := time.Now()
	write := func(data []byte) {
		if err := os.WriteFile(r.p.Files.CA, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(r.p.Files.CA, now, now); err != nil {
			t.Fatal(err)
		}
	}
	write(one)
	r.check("first", true, "")
	r.check("read again, and the same", false, "")
	write(two)
	r.check("looks the same, and is not", true, "")
	now = now.Add(-time.Hour)
	write(two)
	r.check("only the time changed", false, "")
	s := r.p.targets[Peer{Host: mail.Host, Port: mail.Port, Files: r.p.Files}].roots
	if s.doubtful {
		t.Error("a file that was last changed long ago is not read again and again")
	}
}

// What a file looks like is taken before it is read, so that one which changes
// meanwhile is read again.
func TestChangeWhileReading(t *testing.T) {
	root, other := newRoot(t, "Root A"), newRoot(t, "Root B")
	r := &renewal{t: t, f: newFolder(t), p: &Policy{}}
	r.p.Files.CA = r.f.write("ca.pem", certPEM(root.cert.Raw))
	r.check("first", true, "")
	s := r.p.targets[Peer{Host: mail.Host, Port: mail.Port, Files: r.p.Files}].roots
	parse := s.parse
	s.parse = func(docs []document) (*x509.CertPool, []string, error) {
		r.f.write("ca.pem", certPEM(other.cert.Raw)) // behind the reader's back
		return parse(docs)
	}
	r.f.write("ca.pem", certPEM(root.cert.Raw, root.cert.Raw))
	r.check("changed, and again while it is read", true, "")
	s.parse = parse
	r.check("the second change", true, "")
	if !s.value.Equal(pool(other.cert)) {
		t.Error("the last content is what counts")
	}
}

func TestDirectoryIsLookedAtOnceASecond(t *testing.T) {
	root, other := newRoot(t, "Root A"), newRoot(t, "Root B")
	now := today
	r := &renewal{t: t, f: newFolder(t), p: &Policy{Config: &tls.Config{Time: func() time.Time { return now }}}}
	r.p.Files.CAPath = r.f.join("ca")
	r.f.write("ca/a", certPEM(root.cert.Raw))
	r.check("first", true, "")
	r.f.write("ca/b", certPEM(other.cert.Raw))
	now = now.Add(dirInterval - 1)
	r.check("within a second", false, "")
	now = now.Add(1)
	r.check("a file more", true, "")
	next := func() { now = now.Add(dirInterval) }
	next()
	r.check("nothing changed", false, "")
	r.f.write("ca/b", certPEM(other.cert.Raw, root.cert.Raw))
	now = now.Add(dirInterval / 2)
	r.check("within a second of that", false, "")
	now = now.Add(dirInterval / 2)
	r.check("a file changed", true, "")
	if err := os.Rename(r.f.join("ca/b"), r.f.join("ca/c")); err != nil {
		t.Fatal(err)
	}
	next()
	r.check("a file has another name", true, "")
	if err := os.Remove(r.f.join("ca/c")); err != nil {
		t.Fatal(err)
	}
	next()
	r.check("a file less", true, "")
	r.f.write("ca/readme", []byte("words"))
	next()
	r.check("a file that is no certificate", true, "") // the pool is the same, but that is not worth finding out
	if err := os.Remove(r.f.join("ca/a")); err != nil {
		t.Fatal(err)
	}
	next()
	r.check("no certificate is left", false, "no file in this directory")
	next()
	r.check("still", false, "")
	if err := os.RemoveAll(r.f.join("ca")); err != nil {
		t.Fatal(err)
	}
	next()
	r.check("no directory is left", false, "there is no such file")
	r.f.write("ca/a", certPEM(other.cert.Raw))
	now = now.Add(-time.Hour)
	r.check("back, and the clock was set back", true, "")
}

func TestFilesOfOneConfigChangeApart(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	r := &renewal{t: t, f: newFolder(t), p: trusting(root)}
	r.p.Files = r.f.writePair("cert.pem", "key.pem", root.leaf(t, "old"))
	r.p.Files.CA = r.f.write("ca.pem", certPEM(root.cert.Raw))
	r.check("first", true, "")
	r.f.write("key.pem", nil)
	r.f.write("ca.pem", certPEM(other.cert.Raw))
	r.check("a bad key does not keep a good CA file out", true, "it is empty")
	if !r.last.RootCAs.Equal(pool(other.cert)) || r.identity() != "old" {
		t.Error("the new authorities and the old certificate are in use")
	}
}

// Connections that began before a change keep what they have; those after it are
// full handshakes with the new files.
func TestRenewalEndsSessions(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f := newFolder(t)
		p := trusting(root)
		p.Files.CA = f.write("ca.pem", certPEM(root.cert.Raw, other.cert.Raw))
		server := serverConfig(root.leaf(t, mail.Host))
		server.MaxVersion = version
		old := configFor(t, p, mail)
		if !resumes(t, server, old, old) {
			t.Error("before the change connections resume")
		}
		f.write("ca.pem", certPEM(root.cert.Raw))
		if resumes(t, server, old, configFor(t, p, mail)) || len(p.store.shelves) != 1 || p.store.held != 1 {
			t.Error("a session from before the change is not resumed, nor one of a connection from before")
		}
		f.write("ca.pem", certPEM(other.cert.Raw))
		if m := meet(t, configFor(t, p, mail), server); m.clientErr == nil {
			t.Error("an authority that was taken away is trusted no more, by no session either")
		}
	}
}

func TestFilesThatBecomeGood(t *testing.T) {
	root := newRoot(t, "Root")
	f := newFolder(t)
	p := &Policy{Files: Files{CA: f.join("ca.pem")}}
	if _, _, err := p.For(mail); err == nil {
		t.Fatal("a missing file is an error")
	}
	f.write("ca.pem", nil)
	if _, _, err := p.For(mail); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("the error is that of now\n got: %v", err)
	}
	f.write("ca.pem", certPEM(root.cert.Raw))
	if _, _, err := p.For(mail); err != nil {
		t.Errorf("once the file is good there is no error\n got: %v", err)
	}
}

// Why a file cannot be read is not always to be seen by stat(2): it is tried again.
func TestFileThatCannotBeReadIsTriedAgain(t *testing.T) {
	f := newFolder(t)
	f.write("folder/file", nil)
	s := newRootsSource(Files{CA: f.join("folder")})
	if s.refresh(today); s.err == nil || !s.changed(today) {
		t.Errorf("a file that cannot be read is tried again\n got: %v", s.err)
	}
}

func TestLooks(t *testing.T) {
	f := newFolder(t)
	path := f.write("file", nil)
	first := lookAt(path)
	if !first.same(lookAt(path)) {
		t.Error("a file that nobody changed looks the same")
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if first.same(lookAt(path)) {
		t.Error("a file whose mode changed looks different: it may be readable now")
	}
	missing := lookAt(f.join("none"))
	if !missing.same(lookAt(f.join("none"))) || missing.same(first) || first.same(missing) {
		t.Error("a file that is not there looks like itself only")
	}
	if err := os.Symlink("loop", f.join("loop")); err != nil {
		t.Fatal(err)
	}
	if loop := lookAt(f.join("loop")); loop.same(look{path: loop.path, err: missing.err}) {
		t.Error("a file that is missing for another reason looks different")
	}
}

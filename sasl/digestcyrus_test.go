package sasl

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var record = flag.Bool("record", false, "record exchanges with libsasl2's sample server in testdata/digestmd5")

// cyrusLogins are logins at libsasl2's sample server, which says one thing behind the
// login and wants to hear one: through the layer if there is any.
var cyrusLogins = []struct {
	name   string
	prot   Prot
	cipher Cipher
}{
	{"auth", ProtNone, ""},
	{"auth-int", ProtIntegrity, ""},
	{"auth-conf-rc4", ProtPrivacy, RC4},
	{"auth-conf-rc4-56", ProtPrivacy, RC4x56},
	{"auth-conf-rc4-40", ProtPrivacy, RC4x40},
	{"auth-conf-des", ProtPrivacy, DES},
}

const (
	sampleServerSays = "srv message 1\x00"
	sampleClientSays = "client message 1\x00"
)

// lines is a transcript in base64, as the sample programs print it: "S: " is the
// server's, "C: " the client's.
type lines interface {
	hear() (string, error)
	say(text string) error
}

// sampleClient logs in and says and hears what the sample server wants to hear and
// says.
func sampleClient(t *testing.T, peer lines, e Exchange, ssf int) {
	t.Helper()
	hear := func() string {
		s, err := peer.hear()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	say := func(b []byte) {
		if err := peer.say(string(b)); err != nil {
			t.Fatal(err)
		}
	}
	say(next(t, e, hear()))
	say(next(t, e, hear()))
	layer := e.(Layered).Layer()
	if got := e.(Layered).SSF(); !e.Satisfied() || got != ssf || (layer == nil) != (ssf == 0) {
		t.Fatalf("satisfied %v, ssf %d, layer %v", e.Satisfied(), got, layer)
	}
	if layer == nil {
		if got := hear(); got != sampleServerSays {
			t.Fatalf("the server says %q", got)
		}
		say([]byte(sampleClientSays))
		return
	}
	if got, err := receive(layer, 100, hear()); got != sampleServerSays || err != nil {
		t.Fatalf("the server says %q, %v", got, err)
	}
	if err := layer.Write([]byte(sampleClientSays)); err != nil {
		t.Fatal(err)
	}
	say(layer.Pending())
	layer.Sent(len(layer.Pending()))
}

// recording is a transcript that was made with a real server: the client has to say
// what it said then.
type recording struct {
	t     *testing.T
	lines []string
}

func (r *recording) next(who string) string {
	for len(r.lines) > 0 {
		line := r.lines[0]
		r.lines = r.lines[1:]
		if text, ok := strings.CutPrefix(line, who); ok {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			if err != nil {
				r.t.Fatal(err)
			}
			return string(b)
		}
		if line != "" && line[0] != '#' {
			break
		}
	}
	r.t.Fatalf("the recording has no line of %q here", who)
	return ""
}

func (r *recording) hear() (string, error) { return r.next("S:"), nil }

func (r *recording) say(text string) error {
	if want := r.next("C:"); text != want {
		return fmt.Errorf("the client says\n%q, and said\n%q when it was recorded", text, want)
	}
	return nil
}

// recordedParams are those of the recorded logins.
func recordedParams(p Prot) Params {
	params := newDigestParams(p)
	params.Rand = bytes.NewReader([]byte("sixteen bytes :)"))
	return params
}

func TestDigestRecorded(t *testing.T) {
	for _, login := range cyrusLogins {
		t.Run(login.name, func(t *testing.T) {
			m := DIGESTMD5(chris, DigestOptions{Ciphers: []Cipher{login.cipher}})
			file := filepath.Join("testdata", "digestmd5", login.name+".txt")
			if *record {
				peer := newSampleServer(t, "chris", "secret")
				sampleClient(t, peer, m.New(recordedParams(login.prot)), ssfOf(login.prot, login.cipher))
				peer.end()
				text := "# libsasl2's sample server: " + login.name + "\n" + peer.transcript.String()
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := &recording{t: t, lines: strings.Split(string(b), "\n")}
			sampleClient(t, r, m.New(recordedParams(login.prot)), ssfOf(login.prot, login.cipher))
		})
	}
}

func ssfOf(p Prot, c Cipher) int {
	if p == ProtIntegrity {
		return 1
	}
	return c.strength()
}

// The same logins, and some more, at the server itself.
func TestDigestCyrus(t *testing.T) {
	for _, login := range cyrusLogins {
		t.Run(login.name, func(t *testing.T) {
			peer := newSampleServer(t, "chris", "secret")
			m := DIGESTMD5(chris, DigestOptions{Ciphers: []Cipher{login.cipher}})
			sampleClient(t, peer, m.New(newDigestParams(login.prot)), ssfOf(login.prot, login.cipher))
			if end := peer.end(); !strings.Contains(end, "'client message 1'") {
				t.Errorf("the server has not understood: %s", end)
			}
		})
	}
	for _, c := range []struct{ user, password string }{
		{"jürgen", "größe"},
		{"jürgen", "пароль"},
		{"имя", "größe"},
		{`a "b" \`, `"\`},
		{"chris", "µ ª ﬁ \u00a0"}, // all of them SASLprep would change
	} {
		peer := newSampleServer(t, c.user, c.password)
		m := DIGESTMD5(Static(Credentials{Username: c.user, Password: []byte(c.password)}), DigestOptions{})
		sampleClient(t, peer, m.New(newDigestParams(ProtAny)), 128)
		if end := peer.end(); !strings.Contains(end, "Username: "+c.user) {
			t.Errorf("%q logs in by %q: %s", c.user, c.password, end)
		}
	}
	peer := newSampleServer(t, "chris", "secret")
	e := DIGESTMD5(Static(Credentials{Username: "chris", Password: []byte("wrong")}), DigestOptions{}).New(newDigestParams(ProtAny))
	challenge, err := peer.hear()
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.say(string(next(t, e, challenge))); err != nil {
		t.Fatal(err)
	}
	if s, err := peer.hear(); err == nil {
		t.Errorf("the server takes a wrong password and says %q", s)
	}
}

// sampleServer is libsasl2's sample server, at the point where DIGEST-MD5 was chosen.
type sampleServer struct {
	t          *testing.T
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
	log        bytes.Buffer
	printed    strings.Builder
	transcript strings.Builder
}

func newSampleServer(t *testing.T, user, password string) *sampleServer {
	t.Helper()
	const realm = "elwood.innosoft.com"
	server, saslpasswd := sampleTool(t, "sasl-sample-server"), sampleTool(t, "saslpasswd2")
	dir := t.TempDir()
	db := filepath.Join(dir, "sasldb2")
	conf := "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: " + db + "\n"
	if err := os.WriteFile(filepath.Join(dir, "sample.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	add := exec.Command(saslpasswd, "-f", db, "-c", "-p", "-u", realm, user)
	add.Stdin = strings.NewReader(password)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v: %s", err, out)
	}
	// stdbuf, for it would flush its output at its end only.
	s := &sampleServer{t: t, cmd: exec.Command(sampleTool(t, "stdbuf"), "-oL", server, "-m", "DIGEST-MD5", "-s", "imap", "-d", realm, "-u", realm, "-b", "min=0,max=256")}
	s.cmd.Env = append(os.Environ(), "SASL_CONF_PATH="+dir)
	s.cmd.Stderr = &s.log
	s.in, _ = s.cmd.StdinPipe()
	out, _ := s.cmd.StdoutPipe()
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	if _, err := s.hear(); err != nil { // its mechanisms
		t.Fatalf("sasl-sample-server: %v: %s", err, &s.log)
	}
	if err := s.say("DIGEST-MD5"); err != nil {
		t.Fatal(err)
	}
	s.transcript.Reset()
	return s
}

// sampleTool finds a program of Debian's sasl2-bin.
func sampleTool(t *testing.T, name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skipf("there is no %s: install sasl2-bin and coreutils", name)
	return ""
}

func (s *sampleServer) hear() (string, error) {
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, &s.log)
		}
		s.printed.WriteString(line)
		if text, ok := strings.CutPrefix(line, "S: "); ok {
			s.transcript.WriteString(line)
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			return string(b), err
		}
	}
}

func (s *sampleServer) say(text string) error {
	line := "C: " + base64.StdEncoding.EncodeToString([]byte(text)) + "\n"
	s.transcript.WriteString(line)
	_, err := io.WriteString(s.in, line)
	return err
}

// end waits for the server's end and returns all that it has printed.
func (s *sampleServer) end() string {
	s.t.Helper()
	s.in.Close()
	out, _ := io.ReadAll(s.out)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("sasl-sample-server: %v: %s", err, &s.log)
	}
	return s.printed.String() + string(out)
}

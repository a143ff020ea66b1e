package conn_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/sasl"
)

// loginServer is a server on loopback, on a goroutine, for calls that block. It offers
// and answers as it is told, and reports what comes.
func loginServer(t *testing.T, offers string, answers ...string) (c *conn.Client, sent func() []string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		peer, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = peer.Close() }()
		_, _ = fmt.Fprintf(peer, "* OK [CAPABILITY SASL-IR %s] ready\r\n", offers)
		from := bufio.NewReader(peer)
		for _, answer := range answers {
			line, err := from.ReadString('\n')
			if err != nil {
				return
			}
			lines <- strings.TrimRight(line, "\r\n")
			_, _ = fmt.Fprint(peer, answer, "\r\n")
		}
		_, _ = from.ReadString('\n')
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err = (&conn.Dialer{TagPrefix: "a"}).Connect("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	end := func() []string {
		_ = c.Close()
		_ = l.Close()
		var all []string
		for line := range lines {
			all = append(all, line)
		}
		return all
	}
	t.Cleanup(func() { end() })
	return c, end
}

// nameless has a password of which it does not say whose it is.
func nameless() sasl.Provider { return sasl.Static(sasl.Credentials{Password: []byte("x")}) }

var pageAuthenticate = []sentence{
	{"authenticate/one of the mechanisms", func(t *testing.T) {
		c, sent := loginServer(t, "AUTH=PLAIN AUTH=LOGIN", "a2 OK [CAPABILITY IDLE] in")
		if err := c.Authenticate([]sasl.Mechanism{sasl.CRAMMD5(tim()), sasl.Plain(tim())}, "imap", "", sasl.ProtAny); err != nil {
			t.Errorf("the one of them that the server has logs in\n got: %v", err)
		}
		same(t, "it is named", sent(), []string{"a2 AUTHENTICATE PLAIN " + base64Of("\x00tim\x00tanstaaftanstaaf")})
	}},
	{"authenticate/user to log in as", func(t *testing.T) {
		c, sent := loginServer(t, "AUTH=PLAIN", "a2 OK [CAPABILITY IDLE] in")
		if err := c.Authenticate([]sasl.Mechanism{sasl.Plain(nameless())}, "imap", "tim", sasl.ProtAny); err != nil {
			t.Fatal(err)
		}
		same(t, "the user is named", sent(), []string{"a2 AUTHENTICATE PLAIN " + base64Of("\x00tim\x00x")})
	}},
	{"authenticate/the current user", func(t *testing.T) {
		c, sent := loginServer(t, "AUTH=PLAIN", "a2 OK [CAPABILITY IDLE] in")
		if err := c.Authenticate([]sasl.Mechanism{sasl.Plain(nameless())}, "imap", "", sasl.ProtAny); err != nil {
			t.Fatal(err)
		}
		same(t, "where nobody is named it is who runs the process", sent(),
			[]string{"a2 AUTHENTICATE PLAIN " + base64Of("\x00"+runner(t)+"\x00x")})
	}},
	{"authenticate/permissible protection", func(t *testing.T) {
		for prot, want := range map[sasl.Prot]string{
			sasl.ProtNone:      "qop=auth,",
			sasl.ProtIntegrity: "qop=auth-int",
			sasl.ProtPrivacy:   "qop=auth-conf",
			sasl.ProtAny:       "qop=auth-conf",
		} {
			c, s := conntest.New(t, new(conn.Dialer))
			s.Play("S: * OK [CAPABILITY AUTH=DIGEST-MD5]")
			mechs := []sasl.Mechanism{sasl.DIGESTMD5(tim(), sasl.DigestOptions{})}
			if err := c.AuthenticateAsync(mechs, "imap", "", prot, func(error) {}); err != nil {
				t.Fatal(err)
			}
			s.Play("C: a2 AUTHENTICATE DIGEST-MD5\nS: + " + base64Of((&conn.DigestPeer{QOP: "auth,auth-int,auth-conf"}).Challenge()))
			if got := plainOf(t, strings.TrimSpace(s.Received())) + ","; !strings.Contains(got, want) {
				t.Errorf("of what %d allows the strongest is chosen: %s\n got: %s", prot, want, got)
			}
		}
		c, _ := loginServer(t, "AUTH=PLAIN")
		err := c.Authenticate([]sasl.Mechanism{sasl.Plain(tim())}, "imap", "", sasl.ProtPrivacy)
		refused(t, "a mechanism without that protection is not tried", err, sasl.ErrAuthFailed)
	}},
	{"authenticate/0 on success", func(t *testing.T) {
		c, _ := loginServer(t, "AUTH=PLAIN", "a2 OK [CAPABILITY IDLE] in")
		if err := c.Authenticate([]sasl.Mechanism{sasl.Plain(tim())}, "imap", "", sasl.ProtAny); err != nil || c.Err() != nil {
			t.Errorf("its 0 is nil\n got: %v", err)
		}
	}},
	{"authenticate/1 on failure", func(t *testing.T) {
		c, _ := loginServer(t, "AUTH=PLAIN AUTH=LOGIN", "a2 BAD no")
		err := c.Authenticate([]sasl.Mechanism{sasl.Plain(tim()), sasl.Login(tim())}, "imap", "", sasl.ProtAny)
		refused(t, "after BAD it is ErrAuthFailed", err, sasl.ErrAuthFailed)
		c, _ = loginServer(t, "AUTH=PLAIN AUTH=LOGIN", "a2 NO no", "a3 NO no")
		err = c.Authenticate([]sasl.Mechanism{sasl.Plain(tim()), sasl.Login(tim())}, "imap", "", sasl.ProtAny)
		refused(t, "when no mechanism worked, too", err, sasl.ErrAuthFailed)
		if c.Err() != nil {
			t.Errorf("the connection lives\n got: %v", c.Err())
		}
	}},
	{"authenticate/2 on extreme failure", func(t *testing.T) {
		c, _ := loginServer(t, "AUTH=LOGIN", "a2 OK in")
		err := c.Authenticate([]sasl.Mechanism{sasl.Login(tim())}, "imap", "", sasl.ProtAny)
		refused(t, "a premature OK is ErrPrematureOK", err, sasl.ErrPrematureOK)
		refused(t, "and the connection has ended (ours)", c.Err(), sasl.ErrPrematureOK)
	}},
}

package conn_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/conn/conntest"
	"github.com/imclient/imclient/tlsup"
)

// However a connection through TLS ends, it is told how: announced or not, and in the
// middle of what.
func TestTLSEnds(t *testing.T) {
	const (
		unannounced = "conn: the server closed the connection without TLS's close_notify: EOF"
		truncated   = "conn: the TLS stream was cut off within a reply, by the network or by somebody on the way: unexpected EOF"
		inRecord    = "conn: the TLS stream was cut off within a record, by the network or by somebody on the way: unexpected EOF"
		hungUp      = "conn: the server closed the connection: EOF"
		cutOff      = "conn: the server closed the connection within a reply: unexpected EOF"
		reset       = "conn: connection lost: read: connection reset by peer"
	)
	for _, tc := range []struct {
		says, script string
		want         string
		is           error
	}{
		{"between replies, without close_notify", "R.", unannounced, io.EOF},
		{"within a line", "S> * 3 EXI\nR.", truncated, io.ErrUnexpectedEOF},
		{"within a literal", "S: * 1 FETCH (BODY[] {100}\nS> half\nR.", truncated, io.ErrUnexpectedEOF},
		{"before a line end", "S> * 3 EXISTS\nR.", truncated, io.ErrUnexpectedEOF},
		{"within the header of a record", `R> \x17\x03` + "\nR.", inRecord, io.ErrUnexpectedEOF},
		{"within a record", `R> \x17\x03\x03\x00\x20half` + "\nR.", inRecord, io.ErrUnexpectedEOF},
		{"within a record, within a reply", "S> * 3 EXI\nR> \\x17\\x03\\x03\\x00\\x20half\nR.", truncated, io.ErrUnexpectedEOF},
		{"by close_notify", "S/", hungUp, io.EOF},
		{"by close_notify and a closed socket", "S.", hungUp, io.EOF},
		{"by close_notify within a line", "S> * 3 EXI\nS/", cutOff, io.ErrUnexpectedEOF},
		{"by close_notify within a literal", "S: * 1 FETCH (BODY[] {100}\nS> half\nS.", cutOff, io.ErrUnexpectedEOF},
		{"by reset", "S!", reset, nil},
		{"by reset within a line", "S> * 3 EXI\nS!", reset, nil},
		{"by plain text", `R> * 3 EXISTS\r\n`, `tlsup: no TLS record begins with "* 3 EXISTS\r\n"`, nil},
		{"by an alert in the clear, that anybody could send", `R> \x15\x03\x03\x00\x02\x02\x28`, "", nil},
		{"by a record that was changed", `R> \x17\x03\x03\x00\x20` + strings.Repeat("x", 32), "local error: tls: bad record MAC", nil},
		{"by a record with nothing in it", `R> \x17\x03\x03\x00\x00`, "", nil},
		{"by a record that is too large", `R> \x17\x03\x03\xff\xff`, "", nil},
	} {
		t.Run(tc.says, func(t *testing.T) {
			inEveryWay(t, func(t *testing.T, way string) {
				inSomeCuts(t, way, 307, func(t *testing.T, cut *conntest.Cut) {
					x := newTLSTalk(t, conn.Dialer{ImplicitTLS: true}, way, cut)
					x.Play("TLS\nS: * OK")
					x.send("NOOP")
					x.Play("C: a1 NOOP\n" + tc.script)
					err := x.c.Err()
					switch {
					case err == nil:
						t.Fatalf("the connection ends %s\n got: it lives", tc.says)
					case tc.want != "" && err.Error() != tc.want && !strings.HasPrefix(err.Error(), "tlsup: no TLS record begins with \"* 3 E"):
						t.Errorf("it ends %s\n got: %v\nwant: %v", tc.says, err, tc.want)
					case tc.is != nil && !errors.Is(err, tc.is), tc.is == nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
						t.Errorf("it ends %s\n got: %v\nwant: %v", tc.says, err, tc.is)
					}
					if strings.HasSuffix(tc.script, "S/") {
						x.Play("C.")
					}
					x.says("all are told", `* OK ""`, "a1 EOF: "+kind(err), "closed: "+kind(err))
				})
			})
		})
	}
}

// Garbage in place of the server's first records, and where it comes too soon.
func TestTLSGarbage(t *testing.T) {
	for _, tc := range []struct{ says, raw, want string }{
		{"plain text", `* OK hello\r\n`, "what the server sent is not TLS: it began with \"* OK "},
		{"zeros", strings.Repeat(`\x00`, 50), "what the server sent is not TLS"},
		{"a header and a giant length", `\x16\x03\x03\xff\xff`, "what the server sent is not TLS"},
		{"SSL 2", `\x80\x2e\x01\x00\x02`, "what the server sent is not TLS"},
		{"application data", `\x17\x03\x03\x00\x05hello`, ""},
		{"a handshake message of no kind", `\x16\x03\x03\x00\x04\xfe\x00\x00\x00`, ""},
		{"an empty handshake record", `\x16\x03\x03\x00\x00`, ""},
		{"our own ClientHello's kind", `\x16\x03\x03\x00\x04\x01\x00\x00\x00`, ""},
		{"a ServerHello cut short", `\x16\x03\x03\x00\x06\x02\x00\x00\x02\x03\x03`, ""},
		{"a giant handshake message", `\x16\x03\x03\x00\x04\x02\xff\xff\xff`, ""},
		{"CCS over and over", strings.Repeat(`\x14\x03\x03\x00\x01\x01`, 40), ""},
		{"handshake_failure", `\x15\x03\x03\x00\x02\x02\x28`, "handshake_failure"},
		{"unrecognized_name", `\x15\x03\x03\x00\x02\x02\x70`, "unrecognized_name"},
		{"protocol_version", `\x15\x03\x03\x00\x02\x02\x46`, "protocol_version"},
		{"close_notify", `\x15\x03\x03\x00\x02\x01\x00`, "closed the connection in the middle of the handshake"},
		{"warnings over and over", strings.Repeat(`\x15\x03\x03\x00\x02\x01\x5a`, 40), ""},
	} {
		t.Run(tc.says, func(t *testing.T) {
			inEveryWay(t, func(t *testing.T, way string) {
				inSomeCuts(t, way, 7, func(t *testing.T, cut *conntest.Cut) {
					for _, implicit := range []bool{false, true} {
						x := newTLSTalk(t, conn.Dialer{ImplicitTLS: implicit, RequireTLS: true}, way, cut)
						tag := "a1"
						if !implicit {
							x.startTLS()
							x.Play("S: * OK\nC: a1 STARTTLS\nS: a1 OK")
							tag = "a2"
						} else {
							x.Drive()
						}
						x.login()
						x.sentHello()
						x.Play("R> " + tc.raw + "\nR.")
						var handshake *tlsup.HandshakeError
						if err := x.c.Err(); !errors.As(err, &handshake) || !strings.Contains(err.Error(), tc.want) {
							t.Errorf("the handshake fails\n got: %v\nwant: %s", err, tc.want)
						}
						want := []string{"TLS: no TLS", tag + " EOF: no TLS, safe to retry", "closed: no TLS"}
						if implicit {
							want = want[1:]
						}
						x.says("all are told", want...)
					}
				})
			})
		})
	}
}

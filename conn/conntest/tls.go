package conntest

import (
	"bytes"
	"crypto/tls"
	"io"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/tlsup"
)

// security is TLS at the server's end.
type security struct {
	engine *tlsup.Engine
	up     bool  // the handshake is done
	err    error // that of the handshake or of reading, once; io.EOF: the client's close_notify
}

// StartTLS makes the server speak TLS, and lets both do their handshake. What the
// client has sent and nobody expected is taken for the beginning of it. config is not
// changed; nil is [TLSConfig]. That the handshake fails is no failure of the test:
// see [Server.TLS].
func (s *Server) StartTLS(config *tls.Config) {
	s.tb.Helper()
	if s.tls != nil {
		s.tb.Fatalf("conntest: the server speaks TLS already")
	}
	if config == nil {
		config = TLSConfig()
	}
	s.tls = &security{engine: tlsup.Server(config)}
	s.tls.step()
	early := s.got.Bytes()
	s.got = bytes.Buffer{}
	s.receive(early)
	s.Drive()
}

// TLS returns what the server knows of TLS: nil before the end of the handshake, and
// the error by which that, or what came after it, has failed.
func (s *Server) TLS() (*tlsup.State, error) {
	t := s.tls
	if t == nil {
		return nil, nil
	}
	err := t.err
	if err == io.EOF {
		err = nil
	}
	if !t.up {
		return nil, err
	}
	state := t.engine.State()
	return &state, err
}

func (t *security) step() {
	t.up, t.err = t.engine.Step()
}

// decode takes records and gives their contents to got.
func (t *security) decode(records []byte, got func(p []byte)) {
	t.engine.Feed(records)
	defer t.engine.Keep()
	if !t.up && t.err == nil {
		t.step()
	}
	var buf [1 << 12]byte
	for t.up && t.err == nil {
		var n int
		if n, t.err = t.engine.Read(buf[:]); n == 0 {
			return
		}
		got(buf[:n])
	}
}

// encode makes records of text, or tells why it cannot.
func (s *Server) encode(text string) {
	s.tb.Helper()
	s.mustBeUp()
	if err := s.tls.engine.Write([]byte(text)); err != nil {
		s.tb.Fatalf("conntest: TLS: %v", err)
	}
}

func (s *Server) mustBeUp() {
	s.tb.Helper()
	if s.tls != nil && !s.tls.up {
		s.tb.Fatalf("conntest: the TLS handshake is not done: %v", s.tls.err)
	}
}

// CloseWrite says that the server will send nothing more, and lets the client process
// that: by close_notify, or, without TLS, by shutdown(2). It listens on.
func (s *Server) CloseWrite() {
	s.tb.Helper()
	if s.tls == nil {
		_ = unix.Shutdown(s.fd, unix.SHUT_WR) // fails where the client has gone
	} else {
		s.mustBeUp()
		s.tls.engine.CloseNotify()
	}
	s.Drive()
}

// Truncate closes the server's end without TLS's close_notify, as somebody on the way
// could; the client has not been told yet. Without TLS it is [Server.HangUp].
func (s *Server) Truncate() {
	if s.fd >= 0 {
		for s.take() {
		}
		s.close()
	}
}

// close closes the server's end.
func (s *Server) close() {
	_ = unix.Close(s.fd)
	s.fd = -1
	if s.tls != nil {
		s.tls.engine.Abort()
	}
}

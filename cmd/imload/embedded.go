package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"
)

// embedded is the server that imload starts for itself: its own executable
// again, as a child, so that the client's figures are the client's own.
type embedded struct {
	host, port string
	password   string
	authority  *x509.Certificate // that vouches for it; nil: it has no TLS
	process    *os.Process
	stdin      io.Closer
	ended      chan struct{} // closed when the child has ended
	endErr     error         // how; valid once ended is closed
}

// startEmbedded starts a server whose mailboxes hold that many messages. It
// returns when the server listens.
func startEmbedded(messages int, mode tlsMode) (*embedded, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = childAttributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e := &embedded{password: rand.Text(), process: cmd.Process, stdin: stdin, ended: make(chan struct{})}
	err = e.handOver(serverConfig{Messages: messages, Password: e.password, TLS: mode}, stdin, stdout)
	go func() {
		e.endErr = cmd.Wait()
		close(e.ended)
	}()
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("the embedded server did not start: %w", err)
	}
	return e, nil
}

// handOver gives the child its configuration and gets what is needed to reach it.
func (e *embedded) handOver(config serverConfig, stdin io.Writer, stdout io.Reader) error {
	if err := json.NewEncoder(stdin).Encode(config); err != nil {
		return err
	}
	var ready serverReady
	err := json.NewDecoder(stdout).Decode(&ready)
	if err == nil {
		e.host, e.port, err = net.SplitHostPort(ready.Address)
	}
	if err == nil && ready.Authority != nil {
		e.authority, err = x509.ParseCertificate(ready.Authority)
	}
	return err
}

// target is how the server is reached.
func (e *embedded) target() target {
	return target{host: e.host, port: e.port, password: e.password, authority: e.authority}
}

// stop ends the server and waits for it.
func (e *embedded) stop() {
	_ = e.stdin.Close()
	select {
	case <-e.ended:
	case <-time.After(2 * time.Second):
		_ = e.process.Kill()
		<-e.ended
	}
}

// died reports whether the server has ended by itself, and how.
func (e *embedded) died() (string, bool) {
	select {
	case <-e.ended:
		if e.endErr == nil {
			return "exit status 0", true
		}
		return e.endErr.Error(), true
	default:
		return "", false
	}
}

package main

import (
	"crypto/rand"
	"crypto/tls"
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
	token      string
	authority  *x509.Certificate // that vouches for it; nil: it has no TLS
	client     *tls.Certificate  // that it takes; nil: it asks for none
	process    *os.Process
	stdin      io.Closer
	ended      chan struct{} // closed when the child has ended
	endErr     error         // how; valid once ended is closed
}

// embedded is what the server has to be told.
func (o *options) embedded() serverConfig {
	return serverConfig{
		Messages: o.messages, TLS: o.tls.mode,
		Certificates: o.tls.mode != tlsNever && !o.auth.any && o.auth.has(needCertificate),
	}
}

// startEmbedded starts a server; its password and token are made here. It returns
// when the server listens.
func startEmbedded(config serverConfig) (*embedded, error) {
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
	e := &embedded{password: rand.Text(), token: rand.Text(), process: cmd.Process, stdin: stdin, ended: make(chan struct{})}
	config.Password, config.Token = e.password, e.token
	err = e.handOver(config, stdin, stdout)
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
	if err == nil && config.Certificates {
		var client tls.Certificate
		client, err = tls.X509KeyPair(ready.Client, ready.Client)
		e.client = &client
	}
	return err
}

// target is how the server is reached.
func (e *embedded) target() target {
	return target{
		host: e.host, port: e.port, password: e.password, token: e.token,
		authority: e.authority, client: e.client,
	}
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

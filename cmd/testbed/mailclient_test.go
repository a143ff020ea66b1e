//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// mailClient is just enough of a client to see that the servers are as promised;
// it is no part of what is tested with them.
type mailClient struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

func connect(address string) (*mailClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return greeted(conn)
}

// greeted returns a client for a connection on which the server greets.
func greeted(conn net.Conn) (*mailClient, error) {
	c := &mailClient{conn: conn, r: bufio.NewReader(conn)}
	if greeting, err := c.line(); !bytes.HasPrefix(greeting, []byte("* OK ")) {
		conn.Close()
		return nil, fmt.Errorf("greeting %q, %w", greeting, err)
	}
	return c, nil
}

var literalHeader = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// line reads a line and the literals in it.
func (c *mailClient) line() ([]byte, error) {
	var all []byte
	for {
		piece, err := c.r.ReadBytes('\n')
		all = append(all, piece...)
		if err != nil {
			return all, err
		}
		header := literalHeader.FindSubmatch(piece)
		if header == nil {
			return all, nil
		}
		size, err := strconv.Atoi(string(header[1]))
		if err != nil {
			return all, err
		}
		literal := make([]byte, size)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			return all, err
		}
		all = append(all, literal...)
	}
}

// do sends a command and returns all lines up to the tagged one, which must be OK.
func (c *mailClient) do(command string) ([]byte, error) {
	c.tag++
	tag := fmt.Sprintf("t%d ", c.tag)
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return nil, err
	}
	var all []byte
	for {
		line, err := c.line()
		if err != nil {
			return all, err
		}
		all = append(all, line...)
		if bytes.HasPrefix(line, []byte(tag)) {
			if !bytes.HasPrefix(line, []byte(tag+"OK ")) {
				return all, fmt.Errorf("%s: %q", command, line)
			}
			return all, nil
		}
	}
}

// login connects, logs in and selects INBOX.
func login(address, user, password string) (c *mailClient, selected []byte, err error) {
	c, err = connect(address)
	if err != nil {
		return nil, nil, err
	}
	if selected, err = c.login(user, password); err != nil {
		c.conn.Close()
		return nil, nil, err
	}
	return c, selected, nil
}

// login logs in and selects INBOX.
func (c *mailClient) login(user, password string) (selected []byte, err error) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	if _, err := c.do(fmt.Sprintf(`LOGIN "%s" "%s"`, user, quote.Replace(password))); err != nil {
		return nil, err
	}
	return c.do("SELECT INBOX")
}

// secured speaks TLS on conn. The server's name is its address, if config has none.
func secured(conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(conn.RemoteAddr().String())
	}
	secure := tls.Client(conn, config)
	return secure, secure.Handshake()
}

func connectTLS(address string, config *tls.Config) (*mailClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	secure, err := secured(conn, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return greeted(secure)
}

func (c *mailClient) startTLS(config *tls.Config) error {
	if _, err := c.do("STARTTLS"); err != nil {
		return err
	}
	secure, err := secured(c.conn, config)
	if err != nil {
		return err
	}
	c.conn, c.r = secure, bufio.NewReader(secure)
	return nil
}

func connectStartTLS(address string, config *tls.Config) (*mailClient, error) {
	c, err := connect(address)
	if err != nil {
		return nil, err
	}
	if err := c.startTLS(config); err != nil {
		c.conn.Close()
		return nil, err
	}
	return c, nil
}

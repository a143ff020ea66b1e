package main

import (
	"net"
	"sync"
	"time"
)

// corkLimit is how much a connection of the embedded server collects, in bytes.
const corkLimit = 16 << 10

// corkedListener makes its connections collect their output.
type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corked{Conn: c}, nil
}

// corked collects what is written until the next Read, because only then does
// the other side have to answer. go-imap writes each line by itself, and 64
// small packets for one FETCH would be what server and client spend their time
// on. While a Read waits, as in IDLE, output goes straight out.
type corked struct {
	net.Conn
	mutex   sync.Mutex
	buffer  []byte
	reading bool
	err     error // of writing; final
}

func (c *corked) Write(b []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.buffer = append(c.buffer, b...)
	if c.reading || len(c.buffer) >= corkLimit {
		c.flush()
	}
	if c.err != nil {
		return 0, c.err
	}
	return len(b), nil
}

func (c *corked) Read(b []byte) (int, error) {
	c.mutex.Lock()
	c.flush()
	if c.err != nil {
		c.mutex.Unlock()
		return 0, c.err
	}
	c.reading = true
	c.mutex.Unlock()

	n, err := c.Conn.Read(b)

	c.mutex.Lock()
	c.reading = false
	c.mutex.Unlock()
	return n, err
}

func (c *corked) Close() error {
	c.mutex.Lock()
	c.flush()
	c.mutex.Unlock()
	return c.Conn.Close()
}

// SetWriteDeadline writes what was collected before a deadline that lets nothing out
// any more: crypto/tls sets one when it closes, behind its last record.
func (c *corked) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		c.mutex.Lock()
		c.flush()
		c.mutex.Unlock()
	}
	return c.Conn.SetWriteDeadline(t)
}

// flush writes what was collected.
func (c *corked) flush() {
	if len(c.buffer) > 0 && c.err == nil {
		_, c.err = c.Conn.Write(c.buffer)
	}
	c.buffer = c.buffer[:0]
}

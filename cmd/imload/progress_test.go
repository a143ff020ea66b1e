package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestStatusOnATerminalIsRewritten(t *testing.T) {
	var b bytes.Buffer
	c := &console{w: &b, terminal: true}
	c.status("one")
	c.status("two")
	c.printf("a line %d", 1)
	c.status("three")
	c.clear()
	c.clear()
	const erase = "\r\x1b[K"
	want := "\rone\x1b[K" + "\rtwo\x1b[K" + erase + "a line 1\n" + "\rthree\x1b[K" + erase
	if b.String() != want {
		t.Errorf("a status must take the place of the one before, and give way to lines: got %q, want %q", b.String(), want)
	}
}

func TestStatusElsewhereIsALine(t *testing.T) {
	var b bytes.Buffer
	c := newConsole(&b)
	c.status("one")
	c.status("two")
	c.clear()
	if b.String() != "one\ntwo\n" || c.interval() != time.Second {
		t.Errorf("without a terminal there must be a plain line each second: %q each %v", b.String(), c.interval())
	}
}

func TestMomentFitsTheScreen(t *testing.T) {
	m := moment{
		elapsed: 9900 * time.Millisecond, up: 950, wanted: 1000, rate: 12345.6, p50: 999 * time.Microsecond,
		p99: 99900 * time.Microsecond, bytesInRate: 9.9 * (1 << 20), errors: 2,
	}
	want := "  9.9s  950/1000 up  12,345 cmd/s  p50 999us p99 99.9ms  in 9.90 MiB/s  2 errors"
	if got := m.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.up, m.bytesInRate, m.errors = 1000, 999<<20, 99
	if got := m.String(); len(got) > 79 {
		t.Errorf("the line of the default run must fit 79 columns, has %d: %s", len(got), got)
	}
	m.handshakes = 1234
	if got := m.String(); !strings.Contains(got, "  1,234 handshakes  ") || strings.Contains(got, "  in ") {
		t.Errorf("while there are handshakes, they are counted in the place of bytes: %s", got)
	}
	m.stopping = true
	if got := m.String(); !strings.HasSuffix(got, "ending") {
		t.Errorf("that the run is ending must be said: %s", got)
	}
}

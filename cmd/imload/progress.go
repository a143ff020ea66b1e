package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// console writes to stderr: lines, and on a terminal one that is rewritten.
type console struct {
	w        io.Writer
	terminal bool
	live     bool // the rewritten line stands there
}

func newConsole(w io.Writer) *console {
	return &console{w: w, terminal: terminalWidth(w) > 0}
}

// terminalWidth returns how many columns w has, 0 if it is no terminal.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0: // a terminal that does not know
		return 80
	}
	return int(size.Col)
}

// printf writes a line that stays.
func (c *console) printf(format string, args ...any) {
	c.clear()
	fmt.Fprintf(c.w, format+"\n", args...)
}

// status shows how things are now: in place of the status before on a terminal,
// as a line otherwise.
func (c *console) status(text string) {
	if !c.terminal {
		c.printf("%s", text)
		return
	}
	// One column stays free: some terminals wrap when the last is filled. The
	// width is asked each time, because windows change.
	if width := terminalWidth(c.w) - 1; width > 0 {
		text = text[:min(len(text), width)]
	}
	fmt.Fprintf(c.w, "\r%s\x1b[K", text)
	c.live = true
}

// clear takes the status line away.
func (c *console) clear() {
	if c.live {
		fmt.Fprint(c.w, "\r\x1b[K")
		c.live = false
	}
}

// interval is the time between two status lines.
func (c *console) interval() time.Duration {
	if c.terminal {
		return 200 * time.Millisecond
	}
	return time.Second
}

// moment is what a status line is made of.
type moment struct {
	elapsed     time.Duration
	up, wanted  int // connections that are logged in; that are to be
	rate        float64
	p50, p99    time.Duration
	bytesInRate float64
	errors      int64
	stopping    bool
	handshakes  int64 // of TLS; 0: none of late
}

// String is at most 79 columns wide as long as its numbers are sane.
func (m moment) String() string {
	up := fmt.Sprint(m.up)
	if m.up < m.wanted {
		up += fmt.Sprint("/", m.wanted)
	}
	progress := "in " + size(m.bytesInRate) + "/s"
	if m.handshakes > 0 {
		progress = count(m.handshakes) + " handshakes"
	}
	text := fmt.Sprintf("%5.1fs  %s up  %s cmd/s  p50 %s p99 %s  %s  %d errors",
		m.elapsed.Seconds(), up, count(int64(m.rate)), latency(m.p50), latency(m.p99), progress, m.errors)
	if m.stopping {
		text += ", ending"
	}
	return text
}

package conn

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/wire"
)

// mute is a kernel without a kernel: what the server says is what the script has
// put in, and what the client says is kept.
type mute struct {
	system
	clock   time.Time
	from    unix.Sockaddr
	in, out []byte
	maxRead int   // bytes of one read
	window  int   // bytes that writes still take
	end     error // of the connection, behind in; EOF is 0 bytes
	ended   bool
	closes  int
}

func (k *mute) now() time.Time                     { return k.clock }
func (k *mute) adopt(int) error                    { return nil }
func (k *mute) stream(int) error                   { return nil }
func (k *mute) peer(int) (unix.Sockaddr, error)    { return k.from, nil }
func (k *mute) setsockopt(_, _, _, _ int) error    { return nil }
func (k *mute) close(int) error                    { k.closes++; return nil }
func (k *mute) write(_ int, p []byte) (int, error) { return k.writev(0, [][]byte{p}) }

func (k *mute) poll(int, int16, time.Duration) (bool, error) {
	return false, unix.EBADF // the script never lets the client wait
}

func (k *mute) read(_ int, p []byte) (int, error) {
	switch {
	case len(k.in) > 0:
		n := copy(p[:min(len(p), k.maxRead)], k.in)
		k.in = k.in[n:]
		return n, nil
	case k.ended:
		return 0, k.end
	}
	return 0, unix.EAGAIN
}

func (k *mute) writev(_ int, iov [][]byte) (n int, err error) {
	if k.ended && k.end != nil {
		return 0, unix.EPIPE
	}
	for _, p := range iov {
		p = p[:min(len(p), k.window)]
		k.out = append(k.out, p...)
		k.window -= len(p)
		n += len(p)
	}
	if n == 0 {
		return 0, unix.EAGAIN
	}
	return n, nil
}

// sentCommand is a command that the client has accepted.
type sentCommand struct {
	number   int
	begin    int      // in life.text
	extra    *Command // nil: by Send
	detached bool
	done     bool
}

// life is a client whose events are lines of a script, see play.
type life struct {
	t     *testing.T
	k     *mute
	c     *Client
	rest  []string // lines
	inner []string // lines for callbacks to come

	log     []string
	sent    []*sentCommand
	text    []byte // of the commands, should all of each be written
	plain   bool   // and it should: there was no dialogue, and no refusal
	marks   int
	fed     int // bytes from the server
	skipped int // by the trace
	secrets bool
	lastEOF int // the command whose EOF came last
	closed  int
}

const fuzzSecret = "h4sh-hash"

// Options of a life.
const (
	remote       = 1 << iota // the server is on another machine
	tightLimits              // of what a server may send, and of what may be queued
	noJunk                   // is allowed
	onlySyncLits             // whatever the server can do
)

func newLife(t *testing.T, script string, options byte, traced bool) *life {
	l := &life{t: t, rest: strings.Split(script, "\n"), plain: true}
	l.secrets = !strings.Contains(script, fuzzSecret)
	l.k = &mute{clock: time.Unix(1e9, 0), from: &unix.SockaddrUnix{}, maxRead: 1 << 20, window: 1 << 20}
	d := &Dialer{
		kernel: l.k, TagPrefix: "a", SyncLiterals: options&onlySyncLits != 0,
		Callbacks: []Callback{{Proc: l.untagged}, {Keyword: "EXISTS", Flags: CallbackNumbered, Proc: l.untagged}},
		OnClose:   l.onClose,
	}
	if options&remote != 0 {
		l.k.from = &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}}
	}
	if options&tightLimits != 0 {
		d.Limits = wire.Limits{Line: 40, Literal: 20, Reply: 60}
		d.MaxQueued = 30
	}
	if options&noJunk != 0 {
		d.JunkAllowance = -1
	}
	if traced {
		d.Trace = l.trace
	}
	var err error
	if l.c, err = d.Attach(7, "server.test"); err != nil {
		t.Fatal(err)
	}
	return l
}

// live plays the script to its end, and ends the connection if that did not.
func (l *life) live() {
	for len(l.rest) > 0 {
		line := l.rest[0]
		l.rest = l.rest[1:]
		l.play(line)
		l.drive()
		l.check()
	}
	_ = l.c.Close()
	l.epilogue()
}

// play is one line: a byte that says what happens, and an argument.
//
//	S s L   the server says it, with CRLF, without line end, with LF
//	0-9     a command is sent, of that kind, see send
//	+       Continue says it
//	A N     AddCallback for that keyword; with a number
//	T       so many seconds pass
//	R W     reads bring so many bytes at most; writes take so many more
//	F f     NonSyncLiteral is set, cleared
//	D       the first command that can be is detached
//	E X     the server hangs up, resets
//	Q       Close
//	>       the line behind it is played in the next callback
func (l *life) play(line string) {
	if line == "" {
		return
	}
	arg := line[1:]
	switch what := line[0]; what {
	case 'S':
		l.feed(arg + "\r\n")
	case 's':
		l.feed(arg)
	case 'L':
		l.feed(arg + "\n")
	case '+':
		if l.c.Continue(arg) == nil {
			l.text = append(append(l.text, arg...), "\r\n"...)
		}
	case 'A', 'N':
		l.addCallback(arg, what == 'N')
	case 'T':
		l.k.clock = l.k.clock.Add(time.Duration(count(arg)) * time.Second)
	case 'R':
		l.k.maxRead = max(count(arg), 1)
	case 'W':
		l.k.window = count(arg)
	case 'F':
		l.c.SetFlags(NonSyncLiteral)
	case 'f':
		l.c.ClearFlags(NonSyncLiteral)
	case 'D':
		l.detach()
	case 'E', 'X':
		l.k.ended = true
		if what == 'X' {
			l.k.end = unix.ECONNRESET
		}
	case 'Q':
		_ = l.c.Close()
	case '>':
		l.inner = append(l.inner, arg)
	default:
		if '0' <= what && what <= '9' {
			l.send(what, arg)
		}
	}
}

func count(arg string) int {
	n, _ := strconv.ParseUint(strings.TrimSpace(arg), 10, 16)
	return int(n)
}

func (l *life) feed(text string) {
	if !l.k.ended {
		l.k.in = append(l.k.in, text...)
		l.fed += len(text)
	}
}

func (l *life) addCallback(keyword string, numbered bool) {
	cb := Callback{Keyword: keyword, Proc: l.untagged}
	switch {
	case numbered:
		cb.Flags = CallbackNumbered
	case strings.HasPrefix(keyword, "X"):
		cb.Flags = CallbackNoLiteral
	case strings.HasPrefix(keyword, "Y"):
		cb.Proc = nil
	}
	l.c.AddCallback(cb)
}

func (l *life) detach() {
	for _, cmd := range l.sent {
		if cmd.extra != nil && !cmd.done && !cmd.detached {
			cmd.extra.Detach()
			cmd.detached = true
			return
		}
	}
}

// send sends a command of a kind.
func (l *life) send(kind byte, arg string) {
	cmd := &sentCommand{number: len(l.sent) + 1}
	finish := func(_ *Client, _ any, r *Reply) { l.finished(cmd, r) }
	var format string
	var args []any
	switch kind {
	case '0':
		format = "NOOP"
	case '1':
		format, args = "LOGIN %s %p", []any{arg, fuzzSecret}
	case '2':
		format, args = "APPEND x %l", []any{[]byte(arg)}
	case '3':
		format, args = "X %s %s", []any{arg, "ü"}
	case '4':
		format, args = "X %a", []any{arg}
	case '5':
		format, args = "X %v %L", []any{[]string{arg, "NIL", arg}, bytes.Repeat([]byte{'x'}, 5000)}
	case '6':
		format, cmd.extra = "IDLE", &Command{}
	case '7':
		format, cmd.extra = "AUTHENTICATE X", &Command{}
	case '8':
		format, cmd.extra = "X %s", &Command{Timeout: time.Duration(count(arg)) * time.Second}
		args = []any{arg}
	case '9':
		format = "LOGOUT"
	}
	text, marks, _ := wire.AppendCommand(nil, nil, l.c.literals(), format, args)
	var err error
	if cmd.extra == nil {
		err = l.c.Send(finish, nil, format, args...)
	} else {
		cmd.extra.Finish = finish
		if cmd.extra.Timeout == 0 && kind != '8' {
			cmd.extra.OnContinue = func(_ *Client, _ any, r *Reply) { l.continued(cmd, r) }
		}
		err = l.c.SendCommand(cmd.extra, format, args...)
	}
	if err != nil {
		l.log = append(l.log, fmt.Sprintf("refused: %v", err))
		return
	}
	l.accepted(cmd, text, marks)
}

// accepted notes what a command that was queued will write.
func (l *life) accepted(cmd *sentCommand, text []byte, marks []wire.Mark) {
	l.sent = append(l.sent, cmd)
	cmd.begin = len(l.text)
	if cmd.extra != nil && cmd.extra.OnContinue != nil {
		l.plain = false
		l.marks++
	}
	l.text = fmt.Appendf(l.text, "a%d ", cmd.number)
	from := 0
	for _, m := range marks {
		l.marks++
		if m.Kind == wire.MarkReference {
			l.text = append(append(l.text, text[from:m.At]...), m.Data...)
			from = m.At
		}
	}
	l.text = append(append(l.text, text[from:]...), "\r\n"...)
}

// called is the beginning of every callback; in it the script may go on.
func (l *life) called(format string, args ...any) {
	if l.closed > 0 {
		l.t.Errorf("no callback comes after OnClose: "+format, args...)
	}
	l.log = append(l.log, fmt.Sprintf(format, args...))
	if len(l.inner) > 0 {
		line := l.inner[0]
		l.inner = l.inner[1:]
		l.play(line)
	}
	if _, err := l.c.TryProcessOneEvent(); err != ErrReentrant {
		l.t.Errorf("a callback cannot drive its connection: %v", err)
	}
}

func (l *life) untagged(_ *Client, _ any, r *Reply) {
	l.called("* %d %s %q", r.MsgNo, r.Keyword, r.Text)
	clear(r.Text) // it is ours
}

func (l *life) continued(cmd *sentCommand, r *Reply) {
	if cmd.done || cmd.detached {
		l.t.Errorf("a command that is over is not continued: %d", cmd.number)
	}
	l.called("%d %s %q", cmd.number, r.Keyword, r.Text)
}

func (l *life) finished(cmd *sentCommand, r *Reply) {
	if cmd.done || cmd.detached {
		l.t.Errorf("a command that is over gets no reply: %d %s", cmd.number, r.Keyword)
	}
	status := wire.StatusOf([]byte(r.Keyword))
	switch {
	case r.Keyword == "EOF":
		cmd.done = true
		if cmd.number <= l.lastEOF || !errors.Is(r.Err, l.c.Err()) {
			l.t.Errorf("EOF comes to the oldest first, with the reason: %d after %d, %v", cmd.number, l.lastEOF, r.Err)
		}
		l.lastEOF = cmd.number
	case status == wire.OK || status == wire.NO || status == wire.BAD:
		cmd.done = true
		if l.lastEOF > 0 {
			l.t.Errorf("no reply comes after EOF: %d %s", cmd.number, r.Keyword)
		}
	}
	if l.plain && r.Keyword != "EOF" && len(l.k.out) <= cmd.begin {
		l.t.Errorf("a command that was not sent has no reply: %d %s", cmd.number, r.Keyword)
	}
	l.plain = l.plain && status != wire.NO && status != wire.BAD
	l.called("%d %s %q %v", cmd.number, r.Keyword, r.Text, r.Err)
}

func (l *life) onClose(c *Client, err error) {
	l.called("closed: %v", err)
	l.closed++
	if err == nil || err != c.Err() {
		l.t.Errorf("OnClose gets what Err says: %v, %v", err, c.Err())
	}
}

func (l *life) trace(_ *Client, line string) {
	if strings.HasPrefix(line, "# skipped: ") {
		l.skipped++
	}
	if l.secrets && strings.Contains(line, fuzzSecret) {
		l.t.Errorf("no trace shows a secret: %q", line)
	}
	if strings.ContainsAny(line, "\r\n") {
		l.t.Errorf("a trace is one line: %q", line)
	}
}

// drive lets the client process all that is ready. Every event must be one.
func (l *life) drive() {
	for l.closed == 0 {
		before := l.c.stats
		did, err := l.c.TryProcessOneEvent()
		if !did && err == nil {
			return
		}
		if err == nil && l.c.stats == before {
			l.t.Fatal("an event moves something: the client spins")
		}
	}
}

package conn

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/imclient/imclient/sasl"
	"github.com/imclient/imclient/wire"
)

// Command is what a command may carry besides its text.
type Command struct {
	// Finish is called once, with Rock: for the tagged OK, NO or BAD, or with the
	// keyword "EOF" when the connection ends first. Before that it gets tagged
	// replies with other keywords (ACAP and IMSP send them). nil: no call.
	Finish Proc
	Rock   any
	// OnContinue makes the command a dialogue, like IDLE: it is called, with Rock,
	// for each "+" that is not for one of the command's literals, and
	// [Client.Continue] answers. Later commands wait until this one has
	// completed, because the server would take them for answers.
	OnContinue Proc
	// Timeout bounds the time from Send until the command completes; what passes
	// it ends the connection with a [*TimeoutError]. It comes on top of
	// Timeouts.Command. 0: no such bound. It is for a few commands at a time: each
	// event looks at all that are pending.
	Timeout time.Duration

	due instant // 0: no Timeout
}

// Detach gives a command up: none of its procs is called any more. The command
// itself cannot be taken back, and what comes of it is passed over. Legal in a
// callback.
func (cmd *Command) Detach() { cmd.Finish, cmd.OnContinue, cmd.Rock = nil, nil, nil }

// Send queues a command (imclient_send) and never blocks. format is text with
// the verbs of [wire.AppendCommand]; the tag and the line end are added. finish
// is called with rock when the command completes; it may be nil. In ACAP, which
// has no bare strings, write quoted ones by %a and [wire.AppendQuoted].
//
// The whole command is formatted before any of it is queued: after an error,
// a *wire.FormatError, [ErrCleartext], [ErrBackpressure], [ErrMisuse] or the reason
// why the connection has ended, nothing is sent. What %l and %L refer to is sent in
// place: it must not change until the command completes. Legal in a callback.
func (c *Client) Send(finish Proc, rock any, format string, args ...any) error {
	return c.send(command{finish: finish, rock: rock}, format, args)
}

// SendCommand is Send with all that a command may carry. cmd belongs to the
// connection until the command has completed: it must not be changed, or sent
// again, before. Legal in a callback.
func (c *Client) SendCommand(cmd *Command, format string, args ...any) error {
	if cmd == nil {
		return fmt.Errorf("%w: SendCommand of nil", ErrMisuse)
	}
	cmd.due = 0 // it may have been sent before
	err := c.send(command{rock: cmd, whole: true}, format, args)
	if err == nil && cmd.Timeout > 0 {
		cmd.due = c.now().plus(cmd.Timeout)
		c.timed++
		c.changed()
	}
	return err
}

func (c *Client) send(cmd command, format string, args []any) error {
	if err := c.refusal(); err != nil {
		return err
	}
	if c.out.end()-c.out.position() > c.d.maxQueued() {
		return ErrBackpressure
	}
	number := c.pending.next
	buf := c.out.open()
	begin := len(buf.b)
	b := append(buf.b, c.prefix.bytes()...)
	b = strconv.AppendUint(b, number, 10)
	b = append(b, ' ')
	text := len(b)
	b, marks, err := wire.AppendCommand(b, nil, c.literals(), format, args)
	secret := hasSecret(marks)
	if err == nil {
		cmd.verb = verbOf(b[text:])
	}
	switch {
	case err != nil:
		err = formatMisuse{err}
	case cmd.verb == startTLS && !cmd.switches():
		err = fmt.Errorf("%w: STARTTLS is StartTLS's to send", ErrMisuse)
	case cmd.verb != startTLS && cmd.verb != logout && !c.mayConverse():
		err = ErrTLSRequired
	case secret && !c.maySendSecrets():
		err = ErrCleartext
	case uint64(len(b)-begin) > math.MaxUint32-2:
		err = fmt.Errorf("%w: a command of more than 4 GiB, what %%l refers to not counted", ErrMisuse)
	}
	if err != nil {
		clear(b[begin:cap(b)]) // it may hold a secret
		c.out.settle()
		return err
	}
	b = append(b, '\r', '\n')
	buf.replace(b, secret)

	cmd.end = c.out.end()
	cmd.size = uint32(len(buf.b) - begin)
	cmd.secret = secret
	c.addMarks(marks, &cmd, number)
	if c.pending.len() == 0 {
		c.waitBegins()
	}
	*c.pending.add() = cmd
	c.lift()
	c.changed()
	return nil
}

// refusal tells why nothing can be queued now, nil if it can.
func (c *Client) refusal() error {
	if c.err == nil && c.trace.emitting() {
		return fmt.Errorf("%w: sending from Dialer.Trace", ErrMisuse)
	}
	return c.err
}

// maySendSecrets holds them back from networks that anybody may listen to. What is
// queued while TLS is on its way is sent through it or not at all.
func (c *Client) maySendSecrets() bool {
	return c.local || c.SASL().Prot == sasl.ProtPrivacy || c.d.AllowCleartextAuth || c.transport.tls() != nil || c.d.RequireTLS && c.starting
}

func hasSecret(marks []wire.Mark) bool {
	for i := range marks {
		if marks[i].Kind == wire.MarkSecret {
			return true
		}
	}
	return false
}

// addMarks takes over what the formatter has marked, whose offsets count from
// the beginning of the buffer.
func (c *Client) addMarks(marks []wire.Mark, cmd *command, number uint64) {
	if cmd.switches() {
		for _, at := range [...]int64{cmd.begin(), cmd.end} {
			c.out.marks = append(c.out.marks, mark{kind: barrierMark, at: at, end: cmd.end, number: number})
		}
	}
	for i := range marks {
		m := &marks[i]
		at := c.out.base + int64(m.At)
		switch m.Kind {
		case wire.MarkWait:
			c.out.marks = append(c.out.marks, mark{kind: waitMark, at: at, end: cmd.end, number: number})
			c.trace.waits(at)
		case wire.MarkReference:
			c.out.marks = append(c.out.marks, mark{kind: referenceMark, at: at, end: cmd.end, number: number, data: m.Data})
		case wire.MarkSecret:
			if c.trace != nil {
				c.trace.secrets = append(c.trace.secrets, span{begin: at, end: c.out.base + int64(m.End)})
			}
		}
	}
	if cmd.whole && cmd.extra().OnContinue != nil {
		c.out.marks = append(c.out.marks, mark{
			kind: holdMark, at: cmd.end, end: cmd.end, number: number,
			secret: cmd.verb == authenticate,
		})
	}
}

// Continue answers a "+" in the dialogue of the oldest command that has
// OnContinue: text and a line end are sent, "DONE" ends an IDLE. When the "+"
// has not come yet, text is kept until it does, and then OnContinue is not
// called for it; only one text is kept. [ErrMisuse] when there is no such
// command, when a text is kept already, or when text holds CR, LF or NUL;
// [ErrBackpressure] when the server asks on and on and reads no answers; the reason
// why the connection has ended if it has. Legal in a callback.
func (c *Client) Continue(text string) error {
	if err := c.refusal(); err != nil {
		return err
	}
	m := c.out.dialogue()
	switch {
	case m == nil:
		return fmt.Errorf("%w: Continue without a command that has OnContinue", ErrMisuse)
	case m.held > 0:
		return fmt.Errorf("%w: Continue twice before the server asked once", ErrMisuse)
	case strings.ContainsAny(text, "\r\n\x00"):
		return fmt.Errorf("%w: Continue with CR, LF or NUL in its text", ErrMisuse)
	}
	if bound := c.d.maxQueued(); int64(len(m.data)) > bound {
		return ErrBackpressure
	}
	m.data = append(append(m.data, text...), '\r', '\n')
	if m.owed == 0 {
		m.held = len(text) + 2
		return nil
	}
	m.owed--
	m.said = true
	c.waitBegins()
	c.changed()
	return nil
}

// maxWrites bounds the writes of one event, so that one connection's output
// does not keep a loop from the others.
const maxWrites = 4

// flush writes what may be written now. It reports whether any byte left.
func (c *Client) flush(s *scratch) (wrote bool, err error) {
	if encoded := c.transport.encoded(); encoded > 0 {
		err := c.transport.flush()
		if wrote = c.transport.encoded() < encoded; err != nil {
			return wrote, err
		}
	}
	for range maxWrites {
		if t := c.transport.tls(); t != nil && !t.up || !c.out.sendable() {
			break
		}
		n, err := c.transport.write(c.out.gather(s.iov[:0]))
		if n > 0 { // before an error, too: some of it may have gone out
			wrote = true
			c.stats.Writes++
			c.stats.BytesOut += uint64(n)
			c.out.took(n, c.trace)
		}
		if err != nil {
			return wrote, err
		}
		if n == 0 || c.transport.blocked {
			break
		}
	}
	return wrote, nil
}

package krb5

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	maxReply     = 1 << 20 // bytes of an answer by TCP
	maxDatagram  = 1 << 16
	maxDatagrams = 8 // that one attempt listens to, when they are no answers
	maxAttempts  = 16
)

// Two errors that say something of the KDC rather than of the request (RFC 4120
// section 7.5.9).
const (
	codeUnavailable = 29
	codeTooBig      = 52
)

// transport asks the KDCs of a realm.
type transport struct {
	config   *Config
	resolver Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	timeout  time.Duration // of one request
	stagger  time.Duration // how long an attempt is alone before the next one begins
}

// endpoint is where a KDC listens.
type endpoint struct{ network, addr string } // "tcp", "udp" or "unix"

func (e endpoint) String() string { return e.addr + " (" + e.network + ")" }

// judge says of an answer what is wrong with it, and whether nothing better is to be
// waited for.
type judge func(from endpoint, reply []byte) (final bool, err error)

// refusal is a KRB-ERROR and who sent it.
type refusal struct {
	krbError
	from endpoint
}

// event is what has become of an attempt: an answer, or its end.
type event struct {
	attempt int
	reply   []byte
	err     error
}

// race is one request and its attempts. The loop in run owns all of it; attempts send
// it events.
type race struct {
	request []byte
	events  chan event
	ctx     context.Context
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	caller  judge
	waiting []endpoint // attempts not begun
	begun   []endpoint
	why     []error // of begun: why it has failed; nil: not yet
	refused error   // the first answer that was none
	running sync.WaitGroup
}

// ask sends a request to the KDCs of a realm, one after the other: the next one when
// the last has failed or does not answer for a while, those before going on. The first
// answer that judge is content with ends it: a nil error, or final. A KRB-ERROR ends it
// too, and is returned: it is unauthenticated, so it may say no, and nothing else.
//
// No goroutine is left when ask returns. Errors are judge's where final, else *Error
// of kind NoKDC or BadReply.
func (t *transport) ask(ctx context.Context, realm string, request []byte, judge judge) (*refusal, error) {
	bounded, cancel := context.WithTimeout(ctx, t.timeout)
	ends, err := t.endpoints(bounded, realm, len(request))
	if err != nil {
		cancel()
		return nil, err
	}
	r := &race{request: request, events: make(chan event), ctx: bounded, dial: t.dial, waiting: ends, caller: judge}
	defer r.running.Wait()
	defer cancel()
	no, err, ok := r.run(t.stagger)
	if !ok {
		return nil, r.failure(realm, t, ctx)
	}
	return no, err
}

// run returns ok where there was an answer.
func (r *race) run(stagger time.Duration) (no *refusal, err error, ok bool) {
	alone := time.NewTimer(stagger)
	defer alone.Stop()
	next := func() {
		r.begin()
		alone.Reset(stagger)
	}
	next()
	for left := 1; left > 0 || len(r.waiting) > 0; left = r.left() {
		select {
		case <-r.ctx.Done():
			return nil, nil, false
		case <-alone.C:
			next()
		case e := <-r.events:
			if e.reply == nil {
				r.why[e.attempt] = e.err
				next()
				continue
			}
			no, final, err := r.judge(e)
			if final || err == nil {
				return no, err, true
			}
			r.reject(e, err)
		}
	}
	return nil, nil, false
}

// left is how many attempts may still bring an answer.
func (r *race) left() (n int) {
	for _, err := range r.why {
		if err == nil {
			n++
		}
	}
	return n
}

// begin begins the next attempt, if there is one.
func (r *race) begin() {
	if len(r.waiting) == 0 || len(r.begun) == maxAttempts {
		r.waiting = nil
		return
	}
	to := r.waiting[0]
	r.waiting = r.waiting[1:]
	n := len(r.begun)
	r.begun = append(r.begun, to)
	r.why = append(r.why, nil)
	r.running.Go(func() { r.tell(event{attempt: n, err: r.attempt(n, to)}) })
}

// tell tells whether somebody wanted to know.
func (r *race) tell(e event) bool {
	select {
	case r.events <- e:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// judge looks for the errors that concern the transport before it asks the caller.
func (r *race) judge(e event) (no *refusal, final bool, err error) {
	from := r.begun[e.attempt]
	if !isError(e.reply) {
		final, err = r.caller(from, e.reply)
		return nil, final, err
	}
	kerr, err := parseError(e.reply)
	switch {
	case err != nil:
		return nil, false, err
	case kerr.Code == codeTooBig && from.network == "udp":
		r.waiting = append([]endpoint{{"tcp", from.addr}}, r.waiting...)
		r.why[e.attempt] = errors.New("its answer is too large for UDP")
		r.begin()
		return nil, false, r.why[e.attempt]
	case kerr.Code == codeUnavailable:
		return nil, false, errors.New("it says that it is not available")
	}
	return &refusal{*kerr, from}, true, nil
}

// reject takes note of an answer that is none. By TCP it was the only one; a datagram
// may be anybody's, and the KDC's own may follow.
func (r *race) reject(e event, err error) {
	if r.why[e.attempt] == nil && r.refused == nil {
		r.refused = fmt.Errorf("%v: %w", r.begun[e.attempt], err)
	}
	if r.begun[e.attempt].network != "udp" {
		r.why[e.attempt] = err
		r.begin()
	}
}

// failure says which KDCs were tried, and what has become of each.
func (r *race) failure(realm string, t *transport, ctx context.Context) *Error {
	e := &Error{Kind: NoKDC, Look: t.lookRealm(realm), Err: ctx.Err()}
	var tried []string
	for i, to := range r.begun {
		why := "no answer within " + t.timeout.String()
		switch {
		case r.why[i] != nil:
			why = r.why[i].Error()
		case ctx.Err() != nil:
			why = "no answer yet"
		}
		tried = append(tried, to.String()+": "+why)
	}
	e.What = "no KDC of the realm " + realm + " answers: " + strings.Join(tried, "; ")
	if r.refused != nil && ctx.Err() == nil {
		e.Kind, e.Err = BadReply, nil
		e.What = "what came as the answer of a KDC of the realm " + realm + " is none: " + r.refused.Error()
	}
	return e
}

func (t *transport) lookRealm(realm string) string {
	return "kdc in [realms] " + realm + " in " + t.config.Look.String()
}

// attempt asks one KDC. Its answers go to the race; it returns why there are no more.
func (r *race) attempt(n int, to endpoint) error {
	conn, err := r.dial(r.ctx, to.network, to.addr)
	if err != nil {
		return plain(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(r.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if to.network == "udp" {
		return plain(r.datagrams(n, conn))
	}
	reply, err := exchangeTCP(conn, r.request)
	if err != nil {
		return plain(err)
	}
	if r.tell(event{attempt: n, reply: reply}) {
		<-r.ctx.Done() // whether it was an answer is the loop's to say
	}
	return r.ctx.Err()
}

// plain drops what net puts before an error: the address, which is named already.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

var errLongReply = fmt.Errorf("its answer is longer than %d bytes", maxReply)

// exchangeTCP sends a request behind its length, as its answer comes (RFC 4120 section
// 7.2.2). The answer takes memory as it arrives.
func exchangeTCP(conn net.Conn, request []byte) ([]byte, error) {
	framed := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(request)), uint32(len(request)))
	if _, err := conn.Write(append(framed, request...)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, cut(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxReply {
		return nil, errLongReply
	}
	reply, err := io.ReadAll(io.LimitReader(conn, int64(n)))
	if err == nil && len(reply) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && n == 0 {
		err = errors.New("its answer is empty")
	}
	return reply, cut(err)
}

func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("it closed the connection before its answer was whole")
	}
	return err
}

// datagrams sends a request and tells of all that comes, for it may be from anybody;
// but not of any amount.
func (r *race) datagrams(n int, conn net.Conn) error {
	if _, err := conn.Write(r.request); err != nil {
		return err
	}
	buf := make([]byte, maxDatagram)
	for range maxDatagrams {
		got, err := conn.Read(buf)
		if err != nil {
			return err
		}
		if got > 0 && !r.tell(event{attempt: n, reply: append([]byte(nil), buf[:got]...)}) {
			return r.ctx.Err()
		}
	}
	return errors.New("none of the datagrams is an answer")
}

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/imclient/imclient/conn"
	"github.com/imclient/imclient/reactor"
	"github.com/imclient/imclient/sasl"
)

const (
	// atOnce is how many connections may be on their way in: servers have
	// listen queues, and a login is dear to most.
	atOnce = 256
	// muster is how long those who are in wait for the others at most: a server
	// under full load lets nobody in.
	muster = 3 * time.Second
	// grace is how long a run that is over waits for answers and LOGOUTs while
	// none comes; three times as long at most.
	grace = 5 * time.Second
	// wakeLimit is when an IDLE that should have been woken is given up.
	// Dovecot looks every half second, every two where inotify is short.
	wakeLimit = 10 * time.Second
)

// fleet is all the connections, driven by one goroutine. Everything but what
// says otherwise runs there.
type fleet struct {
	opt        *options
	host       string
	port       string
	password   string           // of the LOGIN command
	mechanisms []sasl.Mechanism // nil: the LOGIN command
	console    *console
	warned     string // last
	meter      *meter
	check      checker
	handshakes handshakes
	logins     map[string]int64 // by SASL: mechanism and layer
	fillMails  [][]byte         // for empty mailboxes, with -fill
	draw       *rand.Rand

	loop     *reactor.Loop
	dialer   conn.Dialer
	traced   conn.Dialer // of connection 0
	dials    context.Context
	endDials context.CancelFunc
	endRun   context.CancelFunc

	sessions []session
	accounts []account
	byClient map[*conn.Client]*session

	started  int  // sessions that have begun
	entering int  // sessions between connect and the end of their SELECT
	up       int  // sessions that are at work
	ended    int  // sessions that are over
	probed   bool // the first one got in: the others may come
	atWork   bool // those who are in have begun with the mix

	stopping    bool
	aborting    bool
	interrupted bool

	grace     time.Duration // see there
	wakeLimit time.Duration
	usage     usage
	pulse     pulse
}

// usage is what the run took.
type usage struct {
	began, allIn, last time.Time // last: when the last command completed
	stopped            time.Time
	cpu, aside         cpuTime // at the beginning; spent on measuring memory

	bookkeeping    memory // of all the sessions and accounts
	first          memory // when the first connection was in
	held           memory // when stopping began
	heldBy         int    // connections that were at work then
	goroutines     int    // at that time
	goroutinesPeak int

	admitted, peakUp  int    // connections that got in; at the same time
	bytesIn, bytesOut uint64 // of connections that are closed
}

// target is the server that a fleet goes to.
type target struct {
	host, port string
	password   string
	token      string            // for mechanisms that want one
	mails      [][]byte          // that its mailboxes were filled with; nil: not known
	authority  *x509.Certificate // that vouches for it; nil: options say who does
	client     *tls.Certificate  // ours; nil: options say whose
}

func newFleet(opt *options, to target, c *console) (*fleet, error) {
	policy, err := opt.tls.policy(to)
	if err != nil {
		return nil, err
	}
	loop, err := reactor.New()
	if err != nil {
		return nil, err
	}
	f := &fleet{
		opt: opt, host: to.host, port: to.port, password: to.password,
		mechanisms: opt.auth.mechanisms(opt.user, to.password, to.token),
		console:    c,
		meter:      newMeter(),
		check:      newChecker(to.mails),
		draw:       rand.New(rand.NewPCG(opt.seed, 0)),
		loop:       loop,
		grace:      grace, wakeLimit: wakeLimit,
		handshakes: handshakes{kinds: map[string]int64{}},
		logins:     map[string]int64{},
	}
	f.dialer = conn.Dialer{
		Callbacks: []conn.Callback{
			{Keyword: "FETCH", Flags: conn.CallbackNumbered, Proc: gotFetch, Rock: f},
			{Keyword: "EXISTS", Flags: conn.CallbackNumbered, Proc: gotExists, Rock: f},
			{Keyword: "BYE", Proc: gotBye, Rock: f},
		},
		OnClose:            f.closed,
		Warn:               func(_ *conn.Client, text string) { f.warn(text) },
		AllowCleartextAuth: opt.cleartext,
		AuthFloor:          sasl.Floor{Binding: opt.auth.bound},
		Timeouts: conn.Timeouts{
			Resolve: 10 * time.Second, Connect: 10 * time.Second, Handshake: 10 * time.Second,
			Greeting: 10 * time.Second, Command: 30 * time.Second,
		},
	}
	opt.tls.secure(&f.dialer, policy)
	f.traced = f.dialer
	f.traced.Trace = func(_ *conn.Client, line string) { c.printf("%s", line) }
	if opt.fill {
		f.fillMails = fillMails(opt.messages)
	}
	before := memoryInUse()
	f.byClient = make(map[*conn.Client]*session, opt.connections)
	f.enlist()
	f.usage.bookkeeping = memoryInUse().minus(before)
	return f, nil
}

// enlist makes the sessions. Two neighbours share an account and wake each
// other; the last of an odd number joins the pair before it.
func (f *fleet) enlist() {
	n := f.opt.connections
	pairs := max(n/2, 1)
	f.accounts = make([]account, 1)
	owner := cmp.Or(f.opt.auth.authz, f.opt.user)
	if strings.Contains(owner, "%d") {
		f.accounts = make([]account, pairs)
	}
	for i := range f.accounts {
		f.accounts[i].user = strings.ReplaceAll(owner, "%d", strconv.Itoa(i))
	}
	f.sessions = make([]session, n)
	slots := make([]op, n*f.opt.depth)
	for i := range f.sessions {
		s := &f.sessions[i]
		a := &f.accounts[min(i/2, len(f.accounts)-1)]
		*s = session{fleet: f, phase: waiting, id: i, account: a, member: a.members}
		a.members++
		s.ops, slots = slots[:f.opt.depth:f.opt.depth], slots[f.opt.depth:]
		for k := range s.ops {
			s.ops[k].session = s
		}
		switch partner := i ^ 1; {
		case partner < n:
			s.partner = &f.sessions[partner]
		case i > 0:
			s.partner = &f.sessions[i-1]
		}
		for _, v := range mixable {
			if f.opt.mix[v] > 0 {
				s.todo |= 1 << v
			}
		}
	}
}

// run drives the fleet until it is done. It returns the poller's errors only:
// what goes wrong on a connection is counted.
func (f *fleet) run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.endRun = cancel
	f.dials, f.endDials = context.WithCancel(ctx)
	f.usage.began, f.usage.cpu = time.Now(), cpuNow()
	f.usage.last = f.usage.began
	if f.opt.duration > 0 {
		f.loop.After(f.opt.duration, f.stop)
	}
	f.startPulse()
	f.loop.After(muster, f.begin)
	f.ramp()
	err := f.loop.Run(ctx)
	f.console.clear()
	if ctx.Err() != nil {
		return nil // the only good end
	}
	return err
}

// interrupt is Ctrl-C. It may be called on any goroutine.
func (f *fleet) interrupt() {
	f.loop.Post(func() {
		f.interrupted = true
		f.console.printf("imload: logging out; once more kills")
		f.stop()
	})
}

// ramp lets more connections in: one at first, to see whether the server is
// there and the password right before a thousand others find out, then as many
// as atOnce.
func (f *fleet) ramp() {
	window := 1
	if f.probed {
		window = atOnce
	}
	for !f.stopping && f.started < len(f.sessions) && f.entering < window {
		s := &f.sessions[f.started]
		f.started++
		s.dial()
	}
	f.usage.goroutinesPeak = max(f.usage.goroutinesPeak, runtime.NumGoroutine())
	if f.started == len(f.sessions) && f.entering == 0 {
		if f.usage.admitted == len(f.sessions) {
			f.usage.allIn = cmp.Or(f.usage.allIn, time.Now())
		}
		f.begin()
	}
}

// begin lets those who are in do the mix.
func (f *fleet) begin() {
	if f.atWork {
		return
	}
	f.atWork = true
	for i := range f.sessions {
		f.sessions[i].next()
	}
}

// admitted notes that a session has got in.
func (f *fleet) admitted(again bool) {
	f.entering--
	f.up++
	f.usage.peakUp = max(f.usage.peakUp, f.up)
	if !again {
		f.usage.admitted++
	}
	if !f.probed {
		f.probed = true
		f.usage.first = f.measure()
	}
	f.ramp()
}

// refused notes that a session has not got in.
func (f *fleet) refused() {
	f.entering--
	if !f.probed && !f.stopping {
		f.console.printf("imload: the first connection did not get in: no other is tried")
		f.stop()
	}
	f.ramp()
}

// completed counts a command that got its OK.
func (f *fleet) completed(v verb, took time.Duration) {
	f.meter.done(v, took)
	f.usage.last = time.Now()
	if f.opt.commands > 0 && f.meter.commands >= f.opt.commands {
		f.stop()
	}
}

// stop begins the end: nobody starts anything new, everybody logs out.
func (f *fleet) stop() {
	if f.stopping {
		return
	}
	f.stopping = true
	f.usage.held, f.usage.heldBy, f.usage.goroutines = f.measure(), f.up, runtime.NumGoroutine()
	f.endDials()
	f.usage.stopped = time.Now()
	f.loop.After(f.grace, f.giveUp)
	// A posted function: stop may come from within a callback of a session, and
	// the others are not to be driven from there.
	f.loop.Post(func() {
		for i := range f.sessions {
			f.sessions[i].wrapUp()
		}
		f.endIfDone()
	})
}

// measure returns the memory in use. What that costs is not the connections'.
func (f *fleet) measure() memory {
	before := cpuNow()
	defer func() { f.usage.aside = f.usage.aside.plus(cpuNow().minus(before)) }()
	return memoryInUse()
}

// giveUp aborts the run, or waits on if there is hope.
func (f *fleet) giveUp() {
	now := time.Now()
	if silence := now.Sub(f.usage.last); silence < f.grace && now.Sub(f.usage.stopped) < 2*f.grace {
		f.loop.After(f.grace-silence, f.giveUp)
		return
	}
	f.abort()
}

// abort ends the run whatever is still missing.
func (f *fleet) abort() {
	f.aborting = true
	for i := range f.sessions {
		if c := f.sessions[i].client; c != nil {
			_ = c.Close()
		}
	}
	f.endRun()
}

func (f *fleet) endIfDone() {
	if f.ended == f.started && (f.stopping || f.started == len(f.sessions)) {
		f.endRun()
	}
}

// closed is every connection's OnClose.
func (f *fleet) closed(c *conn.Client, err error) {
	stats := c.Stats()
	f.usage.bytesIn += stats.BytesIn
	f.usage.bytesOut += stats.BytesOut
	if s := f.byClient[c]; s != nil {
		delete(f.byClient, c)
		s.closed(err)
	}
}

// warn shows what a connection warns of, but not again for each of thousands.
func (f *fleet) warn(text string) {
	if text != f.warned {
		f.warned = text
		f.console.printf("imload: %s", strings.TrimPrefix(text, "sasl: "))
	}
}

// bytes returns what all connections have received and sent.
func (f *fleet) bytes() (in, out uint64) {
	in, out = f.usage.bytesIn, f.usage.bytesOut
	for c := range f.byClient {
		stats := c.Stats()
		in += stats.BytesIn
		out += stats.BytesOut
	}
	return in, out
}

// close gives back what the fleet holds.
func (f *fleet) close() { _ = f.loop.Close() }

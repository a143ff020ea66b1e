package conn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

// A whole session, from connecting to LOGOUT, is run clean while the calls to the
// kernel are counted. Then it is run again and again, and each time one call does
// not do what it should: it fails, once or from then on, does less than it was
// asked, or finds nothing where something was announced. After each run the
// invariants hold, see judge.

// fault is what goes wrong: the n-th call of op, from 1.
type fault struct {
	op     string
	n      int
	err    error // what the call returns, or one of those below
	sticky bool  // all later calls of op as well
}

// What can go wrong besides an error.
var (
	// errOneByte is a short read or write.
	errOneByte = errors.New("one byte")
	// errNotReady is a spurious wake-up as reads and writes see it: whoever said that the
	// socket was ready for them was wrong.
	errNotReady error = unix.EAGAIN
	// errFalseAlarm is one as waits see it: they say that something has come, and nothing has.
	errFalseAlarm = errors.New("false alarm")
	// errEarly is a wait that was interrupted, before anything could come.
	errEarly = errors.New("back early")
)

func (f fault) String() string {
	s := fmt.Sprintf("%s %d: %v", f.op, f.n, f.err)
	if f.sticky {
		s += ", from then on"
	}
	return s
}

// passes reports whether the fault is one that nobody may notice. Socket options are
// best effort, and a close that fails has closed all the same. The peer's address is
// asked for again when TLS begins, of whose sessions it is a part of the name.
func (f fault) passes() bool {
	switch f.err {
	case nil, errOneByte, errNotReady, errFalseAlarm, errEarly:
		return true
	}
	return f.op == "setsockopt" || f.op == "close" || f.op == "peer" && f.n > 1
}

// faultsOf lists what can go wrong with a call.
func faultsOf(op string) []fault {
	var faults []fault
	soft := func(err error) { faults = append(faults, fault{op: op, err: err}) }
	hard := func(errs ...error) {
		for _, err := range errs {
			faults = append(faults, fault{op: op, err: err}, fault{op: op, err: err, sticky: true})
		}
	}
	switch op {
	case "read":
		soft(errNotReady)
		hard(errOneByte, unix.ECONNRESET, unix.ETIMEDOUT, unix.EIO)
	case "write", "writev":
		soft(errNotReady)
		hard(errOneByte, unix.EPIPE, unix.ECONNRESET, unix.ENOBUFS, unix.EIO)
	case "poll":
		soft(errFalseAlarm)
		soft(errEarly)
		hard(unix.ENOMEM)
	case "socket":
		hard(unix.EMFILE, unix.ENFILE, unix.ENOBUFS)
	case "connect", "socketError":
		hard(unix.ECONNREFUSED, unix.ENETUNREACH, unix.ETIMEDOUT)
	default:
		hard(unix.EIO)
	}
	return faults
}

// callNames are the calls of the kernel as errors name them, where that is not the
// name here.
var callNames = map[string]string{
	"adopt": "fcntl", "stream": "getsockopt", "peer": "getpeername", "socketError": "connect",
}

// faulty is the real kernel but for the fault.
type faulty struct {
	system
	t       *testing.T
	fault   fault
	calls   map[string]int
	hit     bool
	wrote   []byte   // what the kernel has taken
	offered [][]byte // what it was to take, in the client's memory
	// asleep is what others do while the client waits. nil: nobody waits.
	asleep func(fd int, events int16)
	vain   int // waits of no time, in a row, in which nothing came
}

// fails counts a call and reports whether it is the one.
func (k *faulty) fails(op string) bool {
	k.calls[op]++
	n := k.calls[op]
	if op != k.fault.op || n != k.fault.n && (!k.fault.sticky || n < k.fault.n) {
		return false
	}
	k.hit = true
	return true
}

func (k *faulty) fail(op string) error {
	if k.fails(op) {
		return k.fault.err
	}
	return nil
}

func (k *faulty) socket(domain int) (int, error) {
	if err := k.fail("socket"); err != nil {
		return -1, err
	}
	return k.system.socket(domain)
}

func (k *faulty) connect(fd int, to unix.Sockaddr) error {
	if err := k.fail("connect"); err != nil {
		return err
	}
	return k.system.connect(fd, to)
}

func (k *faulty) adopt(fd int) error {
	if err := k.fail("adopt"); err != nil {
		return err
	}
	return k.system.adopt(fd)
}

func (k *faulty) stream(fd int) error {
	if err := k.fail("stream"); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	return k.system.stream(fd)
}

func (k *faulty) peer(fd int) (unix.Sockaddr, error) {
	if err := k.fail("peer"); err != nil {
		return nil, err
	}
	return k.system.peer(fd)
}

func (k *faulty) socketError(fd int) error {
	if err := k.fail("socketError"); err != nil {
		return err
	}
	return k.system.socketError(fd)
}

func (k *faulty) setsockopt(fd, level, option, value int) error {
	if err := k.fail("setsockopt"); err != nil {
		return err
	}
	return k.system.setsockopt(fd, level, option, value)
}

func (k *faulty) poll(fd int, events int16, timeout time.Duration) (bool, error) {
	switch err := k.fail("poll"); err {
	case nil:
	case errFalseAlarm:
		return true, nil
	case errEarly:
		return false, nil
	default:
		return false, err
	}
	if timeout != 0 && k.asleep != nil {
		k.asleep(fd, events)
	}
	ready, err := k.system.poll(fd, events, timeout)
	if timeout == 0 && !ready {
		k.vain++
	} else {
		k.vain = 0
	}
	if k.vain > 1 || k.calls["poll"] > 100 {
		k.t.Fatalf("I6: nobody waits in vain: %d waits, the last %d of no time and for nothing", k.calls["poll"], k.vain)
	}
	return ready, err
}

func (k *faulty) close(fd int) error {
	err := k.system.close(fd)
	return errors.Join(err, k.fail("close"))
}

func (k *faulty) read(fd int, p []byte) (int, error) {
	if k.fails("read") {
		if k.fault.err != errOneByte {
			return 0, k.fault.err
		}
		p = p[:1]
	}
	return k.system.read(fd, p)
}

func (k *faulty) write(fd int, p []byte) (int, error) {
	if k.fails("write") {
		if k.fault.err != errOneByte {
			return 0, k.fault.err
		}
		p = p[:1]
	}
	k.offered = append(k.offered, p)
	n, err := k.system.write(fd, p)
	k.wrote = append(k.wrote, p[:n]...)
	return n, err
}

func (k *faulty) writev(fd int, iov [][]byte) (int, error) {
	if k.fails("writev") {
		if k.fault.err != errOneByte {
			return 0, k.fault.err
		}
		iov = [][]byte{iov[0][:1]}
	}
	n, err := k.system.writev(fd, iov)
	k.wrote = append(k.wrote, slices.Concat(iov...)[:n]...)
	return n, err
}

// The session is driven in both ways: by its owner, who waits, and by a loop; in the
// clear, and through TLS; with LOGIN, with a login by SASL, and through a layer of that.
func TestTorture(t *testing.T) {
	for _, how := range []tortureWay{
		{bare: true}, {},
		{bare: true, startTLS: true}, {startTLS: true}, {workers: true, startTLS: true},
		{bare: true, implicit: true}, {implicit: true},

		{bare: true, login: loginPlain}, {login: loginPlain},
		{bare: true, login: loginSCRAM}, {login: loginSCRAM},
		{bare: true, login: loginIntegrity}, {login: loginPrivacy},
		{startTLS: true, login: loginPlain}, {implicit: true, login: loginSCRAM},
		{startTLS: true, login: loginIntegrity}, {bare: true, implicit: true, login: loginPrivacy},

		{bare: true, login: loginGSSAPI}, {login: loginGSSAPI},
		{bare: true, login: loginGSSAPIIntegrity}, {login: loginGSSAPIIntegrity},
		{bare: true, login: loginGSSAPIPrivacy}, {login: loginGSSAPIPrivacy},
		{implicit: true, login: loginGSSAPI}, {startTLS: true, login: loginGSSAPIIntegrity},
		{bare: true, startTLS: true, login: loginGSSAPIPrivacy}, {implicit: true, login: loginGSSAPIPrivacy},
	} {
		t.Run(how.String(), func(t *testing.T) {
			if how.login.gssapi() != 0 {
				how.kerberos = NewKerberosRig(t, "127.0.0.1")
			}
			clean := torture(t, fault{}, how)
			if !slices.Equal(clean.log, clean.allOK()) {
				t.Fatalf("the clean run is clean: %q, %v", clean.log, clean.err)
			}
			clean.judge(fault{}, clean)
			files, goroutines := openFiles(t), runtime.NumGoroutine()
			clients := tortures(t, clean)
			if n := openFiles(t); n > files {
				t.Errorf("I5: no descriptor is lost: %d, before %d", n, files)
			}
			atMost(t, goroutines) // I5
			runtime.GC()
			runtime.GC() // what a pool still held
			for _, c := range clients {
				if c.Value() != nil {
					t.Fatal("I7: nothing keeps hold of a client that has ended")
				}
			}
			t.Logf("%d connections; calls of the clean run: %v", len(clients), clean.k.calls)
		})
	}
}

// tortures runs the session with each fault at each position until no call is left
// that it could hit. It returns the clients that came of it.
func tortures(t *testing.T, clean *session) (clients []weak.Pointer[Client]) {
	for op := range clean.k.calls {
		for _, f := range faultsOf(op) {
			for f.n = 1; ; f.n++ {
				s := torture(t, f, clean.how)
				if !s.k.hit {
					break
				}
				s.judge(f, clean)
				if t.Failed() {
					t.Fatalf("after %v", f)
				}
				if s.client != nil {
					clients = append(clients, weak.Make(s.client))
				}
			}
		}
	}
	return clients
}

// openFiles counts the descriptors of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

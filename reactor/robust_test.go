//go:build unix

package reactor

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// E2, in earnest: a source is closed in the callback of another, and a new one gets
// its number while its event is still in the batch.
func TestReusedNumber_E2(t *testing.T) {
	for _, w := range []*world{ownWorld(), pollWorld()} {
		l := w.loop(t)
		var heir *stream
		var pairs [2]*stream
		var peers [2]*stream
		for i := range pairs {
			peers[i], pairs[i] = w.newPair(t)
		}
		for i, s := range pairs {
			s.heard = func() { // whoever is first in the batch
				number := pairs[1-i].fd
				pairs[1-i].close()
				for heir == nil { // the kernel gives out the lowest free number
					a, b := w.newPair(t)
					for _, s := range []*stream{a, b} {
						if s.fd == number {
							heir = s
						}
					}
					if min(a.fd, b.fd) > number && heir == nil {
						t.Fatalf("the number %d is given out again; it is lost", number)
					}
				}
				mustAdd(t, l, heir)
			}
		}
		mustAdd(t, l, pairs[0], pairs[1])
		for _, p := range peers {
			if _, err := w.write(p.fd, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, l)
		if l.stats.Events != 1 || l.stats.Stale != 1 || l.stats.Spurious != 0 {
			t.Errorf("of two events one is delivered and one is stale; %d were delivered, %d stale, %d calls were for nothing",
				l.stats.Events, l.stats.Stale, l.stats.Spurious)
		}
		if heir == nil || heir.changed == nil {
			t.Error("the new owner of the number is in the loop; it was not")
		}
	}
}

// EPOLLHUP alone: the end of a pipe that nobody has written to.
func TestHangUpAlone(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		l := w.loop(t)
		r, wr, err := w.pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.close(r)
		read := -1
		var d *Descriptor
		d = FD(r, Readable, func() (err error) {
			read, err = w.read(r, make([]byte, 8))
			return errors.Join(err, l.Remove(d))
		})
		mustAdd(t, l, d)
		settled(t, l)
		if read != -1 {
			t.Fatal("a pipe that is open and empty is quiet; it was not")
		}
		w.close(wr)
		run(t, l, func() bool { return read >= 0 })
		if read != 0 || l.table.n != 0 {
			t.Errorf("a hang-up is heard as the end; %d bytes were read", read)
		}
	})
}

// E4, of a socket: a connection that is refused. The descriptor waits to be written,
// and getsockopt(2) says why it cannot.
func TestErrorOfASocket_E4(t *testing.T) {
	for _, w := range []*world{ownWorld(), pollWorld()} {
		l := w.loop(t)
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: deadPort(t), Addr: [4]byte{127, 0, 0, 1}})
		if err != nil && err != unix.EINPROGRESS && err != unix.ECONNREFUSED {
			t.Fatal(err)
		}
		if err == unix.ECONNREFUSED {
			continue // at once, as some systems do for loopback
		}
		var outcome error
		mustAdd(t, l, FD(fd, Writable, func() error {
			n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			outcome = errors.Join(err, unix.Errno(n))
			return outcome
		}))
		run(t, l, func() bool { return outcome != nil })
		if !errors.Is(outcome, unix.ECONNREFUSED) || l.table.n != 0 {
			t.Errorf("the source hears of the error and SO_ERROR says ECONNREFUSED; it said %v", outcome)
		}
	}
}

// deadPort is one on which nobody listens.
func deadPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// lines is a source that reads all that there is and hands out one line at a call: the
// others stand where no descriptor shows them.
type lines struct {
	stream
	decoded [][]byte
	got     []string
}

func (s *lines) NextDeadline() (time.Time, bool) {
	return time.Unix(0, 0), len(s.decoded) > 0 && !s.paused
}

func (s *lines) TryProcessOneEvent() (bool, error) {
	found := len(s.decoded) > 0
	if !found {
		s.in = nil
		ok, err := s.stream.TryProcessOneEvent()
		if !ok || err != nil {
			return ok, err
		}
		s.decoded = bytes.Split(bytes.TrimSuffix(s.in, []byte("\n")), []byte("\n"))
	}
	s.got = append(s.got, string(s.decoded[0]))
	s.decoded = s.decoded[1:]
	return true, nil
}

// E16: what a source has decoded is dealt with before anybody sleeps, be it the loop
// or a host of any kind. One that sleeps too early never ends this test.
func TestDecodedBytesThatNoDescriptorShows_E16(t *testing.T) {
	const text = "one\ntwo\nthree\nfour\n"
	inWorlds(t, func(t *testing.T, w *world) {
		for name, drive := range map[string]func(l *Loop, done func() bool){
			"a host": func(l *Loop, done func() bool) { w.hostUntil(t, l, done) },
			"its own wait": func(l *Loop, done func() bool) {
				run(t, l, done)
			},
			"an outer loop": func(l *Loop, done func() bool) {
				outer := w.loop(t)
				if !w.nestable {
					w.hostUntil(t, l, done)
					return
				}
				mustAdd(t, outer, l)
				w.hostUntil(t, outer, done)
			},
		} {
			l := w.loop(t)
			peer, end := w.newPair(t)
			s := &lines{stream: *end}
			mustAdd(t, l, s)
			if _, err := w.write(peer.fd, []byte(text)); err != nil {
				t.Fatal(err)
			}
			drive(l, func() bool { return len(s.got) >= 2 })
			// A pause hides them even from the loop, until they are wanted again.
			s.pause(true)
			l.After(time.Millisecond, func() { s.pause(false) })
			drive(l, func() bool { return len(s.got) == 4 })
			if s.got[3] != "four" {
				t.Errorf("under %s lines come in order; they were %q", name, s.got)
			}
			l.Close()
		}
	})
}

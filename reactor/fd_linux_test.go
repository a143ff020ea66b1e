package reactor

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readable puts a descriptor into a loop, runs cause, and returns what ready read.
func readable(t *testing.T, fd int, cause func()) []byte {
	t.Helper()
	l := newReal(t)
	var buf [4096]byte
	n := -1
	mustAdd(t, l, FD(fd, Readable, func() (err error) {
		n, err = unix.Read(fd, buf[:])
		return err
	}))
	settled(t, l)
	if n >= 0 {
		t.Fatalf("nothing is there to read yet; %d bytes were", n)
	}
	cause()
	run(t, l, func() bool { return n >= 0 })
	return buf[:n]
}

// One descriptor of each kind, all of them blocking and read only: ready is called when
// there is something, and a call that came for nothing would never return.
func TestDescriptorOfAPipe(t *testing.T) {
	r, w := blockingPipe(t)
	if got := readable(t, r, func() { write(t, w, "hello") }); string(got) != "hello" {
		t.Errorf("the pipe says hello; it said %q", got)
	}
	if got := readable(t, r, func() { unix.Close(w) }); len(got) != 0 {
		t.Errorf("the end of a pipe is readiness; it was %q", got)
	}
}

func blockingPipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) }) // the tests close the other
	return fds[0], fds[1]
}

func write(t *testing.T, fd int, s string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

func TestDescriptorOfAnEventfd(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got := readable(t, fd, func() { _, _ = unix.Write(fd, one) })
	if n := binary.NativeEndian.Uint64(got); n != 1 {
		t.Errorf("the eventfd counts one; it was %d", n)
	}
}

func TestDescriptorOfATimerfd(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got := readable(t, fd, func() {
		soon := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(time.Millisecond))}
		if err := unix.TimerfdSettime(fd, 0, &soon, nil); err != nil {
			t.Fatal(err)
		}
	})
	if n := binary.NativeEndian.Uint64(got); n != 1 {
		t.Errorf("the timer expired once; it was %d times", n)
	}
}

// The signal is one of a thread of its own, because the runtime owns the process's.
func TestDescriptorOfASignalfd(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, old unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	fd, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	// A thread's pending signals show only to the thread that waits, which is this one.
	got := readable(t, fd, func() {
		if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGUSR2); err != nil {
			t.Fatal(err)
		}
	})
	info := (*unix.SignalfdSiginfo)(unsafe.Pointer(&got[0]))
	if uintptr(len(got)) != unsafe.Sizeof(*info) || info.Signo != uint32(unix.SIGUSR2) {
		t.Errorf("the signal is %d; it was %d", unix.SIGUSR2, info.Signo)
	}
}

func TestDescriptorOfInotify(t *testing.T) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dir := t.TempDir()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	got := readable(t, fd, func() {
		if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if name := unix.ByteSliceToString(got[unix.SizeofInotifyEvent:]); name != "new" {
		t.Errorf("the file is called new; it was %q", name)
	}
}

// A child's output, up to its end.
func TestDescriptorOfAChildsOutput(t *testing.T) {
	l := newReal(t)
	r, w := blockingPipe(t)
	out := os.NewFile(uintptr(w), "pipe")
	child := exec.Command("/bin/sh", "-c", "echo one; echo two")
	child.Stdout = out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	out.Close() // the child has it now
	var heard []byte
	ended := false
	mustAdd(t, l, FD(r, Readable, func() error {
		var buf [512]byte
		n, err := unix.Read(r, buf[:])
		heard = append(heard, buf[:max(n, 0)]...)
		if n == 0 {
			ended = true
			return io.EOF
		}
		return err
	}))
	run(t, l, func() bool { return ended })
	if err := child.Wait(); err != nil || string(heard) != "one\ntwo\n" || l.table.n != 0 {
		t.Errorf("the child says one, two, and is gone; it said %q, %v, %d sources are left", heard, err, l.table.n)
	}
}

// A blocking listener and a connection that writes what it read, and so must not block.
func TestDescriptorOfAListener(t *testing.T) {
	l := newReal(t)
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	name := &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}
	if err := errors.Join(unix.Bind(listener, name), unix.Listen(listener, 4)); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, l, FD(listener, Readable, func() error {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return err
		}
		return l.Add(echo(l, fd))
	}))
	a, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(a, name); err != nil {
		t.Fatal(err)
	}
	peer := &stream{k: system{}, fd: a}
	defer peer.close()
	mustAdd(t, l, peer)
	peer.send([]byte("there and back"))
	run(t, l, func() bool { return len(peer.in) == len("there and back") })
	peer.close()
	run(t, l, func() bool { return l.table.n == 1 })
}

// echo is never both: it reads, then it wants to write and no more to read.
func echo(l *Loop, fd int) *Descriptor {
	var d *Descriptor
	var buf [512]byte
	var held []byte
	d = FD(fd, Readable, func() error {
		if len(held) > 0 {
			n, err := unix.Write(fd, held)
			if held = held[max(n, 0):]; len(held) == 0 {
				d.Want(Readable)
			}
			return err
		}
		n, err := unix.Read(fd, buf[:])
		switch {
		case err != nil:
			return err
		case n == 0:
			l.Remove(d)
			unix.Close(fd)
		default:
			held = buf[:n]
			d.Want(Writable)
		}
		return nil
	})
	return d
}

// pipeBuf is PIPE_BUF, what a pipe has room for whenever it can be written.
const pipeBuf = 4096

// A blocking pipe that is full: ready is not called before there is room, and then
// PIPE_BUF bytes fit, or this test would not end.
func TestBlockingPipeIsWrittenPIPE_BUFAtATime(t *testing.T) {
	l := newReal(t)
	r, w := blockingPipe(t)
	defer unix.Close(w)
	size, err := unix.FcntlInt(uintptr(w), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, string(make([]byte, size)))
	wrote := 0
	var d *Descriptor
	d = FD(w, 0, func() error {
		n, err := unix.Write(w, make([]byte, pipeBuf))
		wrote += n
		d.Want(0)
		return err
	})
	mustAdd(t, l, d)
	d.Want(Writable)
	settled(t, l)
	if wrote != 0 {
		t.Fatalf("a full pipe has no room; %d bytes were written", wrote)
	}
	// A pipe gives room back by the page.
	if _, err := io.ReadFull(fileOf(r), make([]byte, os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	run(t, l, func() bool { return wrote > 0 })
	settled(t, l)
	if wrote != pipeBuf {
		t.Errorf("one call writes %d bytes, and Want(0) pauses; %d bytes were written", pipeBuf, wrote)
	}
}

// Some room is readiness, so what is longer than the room needs a non-blocking
// descriptor: it takes a part, says EAGAIN when it is full, and is called for the rest.
func TestLongWriteNeedsANonBlockingDescriptor(t *testing.T) {
	l := newReal(t)
	r, w := blockingPipe(t)
	defer unix.Close(w)
	if err := unix.SetNonblock(w, true); err != nil {
		t.Fatal(err)
	}
	left := make([]byte, 1<<20)
	calls := 0
	mustAdd(t, l, FD(w, Writable, func() error {
		calls++
		n, err := unix.Write(w, left)
		if left = left[max(n, 0):]; len(left) == 0 {
			return io.EOF
		}
		return err
	}))
	settled(t, l)
	if len(left) == 0 || len(left) == 1<<20 {
		t.Errorf("a part fits into an empty pipe; %d bytes are left", len(left))
	}
	read := 0
	mustAdd(t, l, FD(r, Readable, func() error {
		var buf [4096]byte
		n, err := unix.Read(r, buf[:])
		read += max(n, 0)
		return err
	}))
	run(t, l, func() bool { return read == 1<<20 })
	if len(left) != 0 || calls < 2 {
		t.Errorf("the rest is written as there is room; %d bytes are left after %d calls", len(left), calls)
	}
}

// fileOf reads a descriptor.
type fileOf int

func (f fileOf) Read(b []byte) (int, error) { return unix.Read(int(f), b) }

func TestDescriptorOfAFileIsRefused(t *testing.T) {
	l := newReal(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := FD(int(f.Fd()), Readable, nop)
	var fault *SourceError
	if err := l.Add(d); !errors.Is(err, ErrNotPollable) || !errors.As(err, &fault) || fault.Source != d {
		t.Errorf("a regular file is refused as one; the error was %v", err)
	}
}

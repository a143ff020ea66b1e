package floor

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/bench/fleet"
	"github.com/imclient/imclient/bench/server"
)

// Fleet is the floor's side of a benchmark. Its zero value is ready to Open.
type Fleet struct {
	epoll    int
	links    []link
	events   []unix.EpollEvent
	in       []byte
	syscalls int64

	batch []byte // of the job: the lines to write at once
	owed  int    // and the bytes that answer them
}

// link is one connection.
type link struct {
	fd      int
	owed    int // bytes of the batch's replies still to come
	batches int // still to write
}

// Open makes the connections one after the other.
func (f *Fleet) Open(s fleet.Server, n int) (err error) {
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	f.links = make([]link, n)
	f.events = make([]unix.EpollEvent, 512)
	f.in = make([]byte, 64<<10)
	for i := range f.links {
		if err := f.open(i, s.Addr); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) open(i int, addr netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	f.links[i].fd = fd
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	f.links[i].owed = len(server.Greeting)
	if err := f.await(&f.links[i]); err != nil {
		return err
	}
	for _, command := range []string{"LOGIN " + fleet.User(i) + " " + fleet.Password, "SELECT INBOX"} {
		if err := f.exchange(&f.links[i], fleet.Line(command)); err != nil {
			return err
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	err = unix.EpollCtl(f.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)})
	return os.NewSyscallError("epoll_ctl", err)
}

// exchange is for a socket that blocks.
func (f *Fleet) exchange(l *link, line string) error {
	l.owed = len(server.Answer(line))
	if _, err := unix.Write(l.fd, []byte(line)); err != nil {
		return os.NewSyscallError("write", err)
	}
	return f.await(l)
}

func (f *Fleet) await(l *link) error {
	for l.owed > 0 {
		n, err := unix.Read(l.fd, f.in)
		if err := l.received(n, err); err != nil {
			return err
		}
	}
	return nil
}

// Run writes batch after batch on every connection, each as soon as the bytes
// of the last one's replies have come.
func (f *Fleet) Run(job fleet.Job) (work fleet.Work, err error) {
	command := fleet.Line(job.Verb.Command())
	f.batch = bytes.Repeat([]byte(command), job.Depth)
	f.owed = job.Depth * len(server.Answer(command))
	before := f.syscalls
	for i := range f.links {
		f.links[i].batches = job.Batches
		if err := f.send(&f.links[i]); err != nil {
			return work, err
		}
	}
	for left := len(f.links); left > 0; {
		n, err := f.wait()
		if err != nil {
			return work, err
		}
		for _, ev := range f.events[:n] {
			l := &f.links[ev.Fd]
			if err := f.read(l); err != nil {
				return work, err
			}
			if l.owed > 0 {
				continue
			}
			work.Commands += int64(job.Depth)
			if l.batches == 0 {
				left--
			} else if err := f.send(l); err != nil {
				return work, err
			}
		}
	}
	work.Literals = work.Commands * job.Verb.Literal()
	work.Syscalls = f.syscalls - before
	return work, nil
}

// Idle fetches the large message and leaves IDLE pending, one connection after
// the other.
func (f *Fleet) Idle() error {
	for i := range f.links {
		l := &f.links[i]
		if err := unix.SetNonblock(l.fd, false); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		for _, command := range []string{"FETCH 2 (BODY.PEEK[])", "IDLE"} {
			if err := f.exchange(l, fleet.Line(command)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Fleet) wait() (int, error) {
	f.syscalls++
	n, err := unix.EpollWait(f.epoll, f.events, -1)
	if err == unix.EINTR {
		return 0, nil
	}
	return n, os.NewSyscallError("epoll_wait", err)
}

func (f *Fleet) read(l *link) error {
	f.syscalls++
	n, err := rawIO(unix.SYS_READ, l.fd, f.in)
	return l.received(n, err)
}

func (l *link) received(n int, err error) error {
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if n == 0 || n > l.owed {
		return fmt.Errorf("floor: %d bytes came where %d were owed", n, l.owed)
	}
	l.owed -= n
	return nil
}

// send writes the next batch, which is smaller than any socket buffer.
func (f *Fleet) send(l *link) error {
	l.batches--
	l.owed = f.owed
	f.syscalls++
	n, err := rawIO(unix.SYS_WRITE, l.fd, f.batch)
	if err == nil && n < len(f.batch) {
		err = unix.EAGAIN
	}
	return os.NewSyscallError("write", err)
}

// rawIO makes a system call that does not block, so that the scheduler need not
// be told of it.
func rawIO(call uintptr, fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

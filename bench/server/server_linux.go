package server

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/imclient/imclient/sasl/krbtest"
)

// Server is one listening socket and its connections, all served by the
// goroutine that calls Serve.
type Server struct {
	epoll, listener int
	addr            netip.AddrPort
	service         *krbtest.Service
	ccache          string // in base64
	events          []unix.EpollEvent
	sessions        map[int32]*session
	in, out, spare  []byte // of the connection whose turn it is
	tally
}

// session is one connection.
type session struct {
	fd int
	dialogue
	rest   []byte // a line, or a layer's packet, that has not ended yet
	unsent []byte // while not empty, nothing is read
}

// Listen opens a server on a free port of the loopback interface.
func Listen() (*Server, error) {
	s := &Server{
		events:   make([]unix.EpollEvent, 512),
		sessions: make(map[int32]*session),
		in:       make([]byte, 64<<10),
	}
	var err error
	if s.service, s.ccache, err = kerberos(); err != nil {
		return nil, err
	}
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(s.listener, 4096); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	name, err := unix.Getsockname(s.listener)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	in4 := name.(*unix.SockaddrInet4)
	s.addr = netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return s, s.watch(unix.EPOLL_CTL_ADD, s.listener, unix.EPOLLIN)
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Status returns the address, the ticket and the counts so far. It may be called on
// another goroutine; an answer is counted before it can be read.
func (s *Server) Status() Status {
	return Status{Addr: s.addr, CCache: s.ccache, Answered: s.answered.Load(), Logins: s.logins.Load()}
}

// Serve answers until the kernel refuses something that it should not.
func (s *Server) Serve() error {
	for {
		if err := s.step(); err != nil {
			return err
		}
	}
}

// step waits for connections to be ready and gives each a turn.
func (s *Server) step() error {
	n, err := unix.EpollWait(s.epoll, s.events, -1)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	for _, ev := range s.events[:max(n, 0)] {
		if int(ev.Fd) == s.listener {
			err = s.accept()
		} else {
			err = s.turn(s.sessions[ev.Fd])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) watch(op, fd int, events uint32) error {
	err := unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// accept takes all connections that wait.
func (s *Server) accept() error {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return os.NewSyscallError("accept4", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		// Closing resets the connection: ten thousand ports in TIME_WAIT would
		// slow down the benchmark that comes next.
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		ss := &session{fd: fd, dialogue: dialogue{service: s.service}}
		s.sessions[int32(fd)] = ss
		if err := s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return err
		}
		if err := s.send(ss, []byte(Greeting)); err != nil {
			return err
		}
	}
}

// turn moves one ready connection: what could not be sent goes first, else one
// read is answered by one write.
func (s *Server) turn(ss *session) error {
	if len(ss.unsent) > 0 {
		return s.send(ss, ss.unsent)
	}
	kept := copy(s.in, ss.rest)
	n, err := unix.Read(ss.fd, s.in[kept:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil || n == 0 {
		return s.end(ss)
	}
	input := s.in[:kept+n]
	s.out = s.out[:0]
	if ss.layer == nil {
		input = s.lines(ss, input)
	} else if input, err = s.packets(ss, input); err != nil {
		return s.end(ss)
	}
	if len(input) == len(s.in) {
		return fmt.Errorf("server: a line of more than %d bytes", len(s.in))
	}
	ss.rest = append(ss.rest[:0], input...)
	return s.send(ss, s.out)
}

// lines answers each, and returns what comes behind the last.
func (s *Server) lines(ss *session, input []byte) (rest []byte) {
	for {
		line, after, found := bytes.Cut(input, []byte("\n"))
		if !found {
			return input
		}
		s.out = ss.answer(s.out, bytes.TrimSuffix(line, []byte("\r")))
		s.add(ss.said)
		input = after
	}
}

// packets does the same where a layer has begun. What is wrong with it is for the client
// to notice.
func (s *Server) packets(ss *session, input []byte) (rest []byte, err error) {
	l := ss.layer
	if rest, err = l.open(input); err != nil {
		return nil, err
	}
	l.text = l.text[:copy(l.text, s.lines(ss, l.text))]
	clear := s.out
	s.out, err = l.seal(s.spare[:0], clear)
	s.spare = clear
	return rest, err
}

// send writes out, or keeps what the socket does not take and waits for it.
func (s *Server) send(ss *session, out []byte) error {
	waited := len(ss.unsent) > 0
	for len(out) > 0 {
		n, err := unix.Write(ss.fd, out)
		if err == unix.EAGAIN {
			break
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return s.end(ss)
		}
		out = out[n:]
	}
	if len(out) > 0 {
		if waited {
			ss.unsent = out // its own end
			return nil
		}
		ss.unsent = bytes.Clone(out)
		return s.watch(unix.EPOLL_CTL_MOD, ss.fd, unix.EPOLLOUT)
	}
	ss.unsent = nil
	if ss.over {
		// The client closes first, so that what is on its way arrives.
		if err := unix.Shutdown(ss.fd, unix.SHUT_WR); err != nil {
			return s.end(ss)
		}
	}
	if waited {
		return s.watch(unix.EPOLL_CTL_MOD, ss.fd, unix.EPOLLIN)
	}
	return nil
}

func (s *Server) end(ss *session) error {
	delete(s.sessions, int32(ss.fd))
	return os.NewSyscallError("close", unix.Close(ss.fd))
}

package reactor

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The epoll data of our own descriptors, where those of sources have theirs.
const (
	wakeToken  = -1
	alarmToken = -2
)

// epoll is the poller of Linux: epoll(7), eventfd(2) to be woken, and for deadlines
// that a foreign wait must see a timerfd_create(2), made when first needed.
//
// Both are edge-triggered, so that nobody need read them: epoll_wait reports each
// write and each expiry once, which is what the contract calls consuming.
type epoll struct {
	k       kernel
	ep      int
	wakeFD  int
	alarmFD int  // -1: not made yet
	coarse  bool // the kernel has no epoll_pwait2(2), as the first wait that could use it found out
	raw     []unix.EpollEvent
	// Arguments of system calls: here, not on the stack, so that nothing is allocated.
	timeout timespec
	spec    unix.ItimerSpec
	ev      unix.EpollEvent
	drain   [8]byte
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

func newPoller() (poller, error) { return newEpoll(linux{}) }

func newEpoll(k kernel) (*epoll, error) {
	p := &epoll{k: k, ep: -1, wakeFD: -1, alarmFD: -1}
	var err error
	if p.ep, err = k.epollCreate(); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.wakeFD, err = k.eventfd(); err != nil {
		k.close(p.ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := p.own(p.wakeFD, wakeToken); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// own adds a descriptor of ours, readable by edges.
func (p *epoll) own(fd int, token int32) error {
	p.ev = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: token}
	return os.NewSyscallError("epoll_ctl", p.k.epollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &p.ev))
}

func (p *epoll) descriptor() int { return p.ep }

func (p *epoll) add(fd int32, gen uint32, in Interest) error {
	err := p.ctl(unix.EPOLL_CTL_ADD, fd, gen, in)
	if err == unix.EPERM {
		return ErrNotPollable
	}
	return os.NewSyscallError("epoll_ctl", err)
}

func (p *epoll) modify(fd int32, gen uint32, in Interest) error {
	return os.NewSyscallError("epoll_ctl", p.ctl(unix.EPOLL_CTL_MOD, fd, gen, in))
}

func (p *epoll) remove(fd int32) { _ = p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *epoll) ctl(op int, fd int32, gen uint32, in Interest) error {
	p.ev = unix.EpollEvent{Events: mask(in), Fd: fd, Pad: int32(gen)}
	return p.k.epollCtl(p.ep, op, int(fd), &p.ev)
}

// mask turns an interest into epoll's. EPOLLERR and EPOLLHUP cannot be refused, so
// a descriptor without interest is edge-triggered, to hear of them only once.
func mask(in Interest) uint32 {
	if in == 0 {
		return unix.EPOLLET
	}
	var m uint32
	if in&Readable != 0 {
		m |= unix.EPOLLIN
	}
	if in&Writable != 0 {
		m |= unix.EPOLLOUT
	}
	return m
}

func (p *epoll) wait(into []event, timeout time.Duration) (waited, error) {
	if len(p.raw) != len(into) {
		p.raw = make([]unix.EpollEvent, len(into))
	}
	n, err := p.sleep(timeout)
	if err == unix.EINTR {
		return waited{}, nil
	}
	if err != nil {
		return waited{}, os.NewSyscallError("epoll_wait", err)
	}
	w := waited{more: n == len(into)}
	for i := range p.raw[:n] {
		switch ev := &p.raw[i]; ev.Fd {
		case wakeToken:
			w.woken = true
		case alarmToken:
		default:
			into[w.n] = event{ev.Fd, uint32(ev.Pad)}
			w.n++
		}
	}
	return w, nil
}

// sleep is epoll_wait(2) to the nanosecond, if the kernel has that.
func (p *epoll) sleep(timeout time.Duration) (int, error) {
	if timeout > 0 && !p.coarse {
		p.timeout = timespec{int64(timeout / time.Second), int64(timeout % time.Second)}
		n, err := p.k.epollWait2(p.ep, p.raw, &p.timeout)
		// Linux before 5.11 does not know the call, and sandboxes made by then refuse it.
		if err != unix.ENOSYS && err != unix.EPERM {
			return n, err
		}
		p.coarse = true
	}
	return p.k.epollWait(p.ep, p.raw, milliseconds(timeout))
}

func (p *epoll) wake() error {
	_, err := p.k.write(p.wakeFD, one)
	for err == unix.EINTR {
		_, err = p.k.write(p.wakeFD, one)
	}
	return os.NewSyscallError("write", err)
}

func (p *epoll) hush() error {
	_, err := p.k.read(p.wakeFD, p.drain[:])
	for err == unix.EINTR {
		_, err = p.k.read(p.wakeFD, p.drain[:])
	}
	if err == unix.EAGAIN {
		return nil
	}
	return os.NewSyscallError("read", err)
}

func (p *epoll) alarm(d time.Duration) error {
	if p.alarmFD < 0 {
		if d < 0 {
			return nil
		}
		if err := p.makeAlarm(); err != nil {
			return err
		}
	}
	// Zero would disarm; one nanosecond is at once.
	p.spec.Value = unix.Timespec{}
	if d >= 0 {
		p.spec.Value = unix.NsecToTimespec(int64(max(d, 1)))
	}
	return os.NewSyscallError("timerfd_settime", p.k.timerfdSettime(p.alarmFD, &p.spec))
}

func (p *epoll) makeAlarm() error {
	fd, err := p.k.timerfd()
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if err := p.own(fd, alarmToken); err != nil {
		p.k.close(fd)
		return err
	}
	p.alarmFD = fd
	return nil
}

func (p *epoll) close() error {
	if p.alarmFD >= 0 {
		p.k.close(p.alarmFD)
	}
	p.k.close(p.wakeFD)
	return os.NewSyscallError("close", p.k.close(p.ep))
}

//go:build unix

package reactor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// NewPoll makes a loop like [New] does, but over poll(2), which every Unix has. It is
// for systems without epoll or kqueue, where New does the same, and elsewhere for
// comparison: poll(2) is handed all descriptors in each wait, so a turn costs what is
// in the loop and not what is ready. It takes devices that New's refuses, see
// [ErrNotPollable], and notices descriptors that were closed too early, see [SourceError].
//
// Such a loop has no descriptor: GetSelectInfo says -1, and it cannot be in another
// loop or in a host's wait, though others can be in it. Errors are *os.SyscallError.
func NewPoll() (*Loop, error) {
	p, err := newPoll(system{})
	if err != nil {
		return nil, err
	}
	return newLoop(p, time.Now), nil
}

// pollKernel is every system call of poll's poller.
type pollKernel interface {
	files
	// poll waits as poller.wait does: not less than timeout, for ever if negative.
	poll(fds []unix.PollFd, timeout time.Duration) (int, error)
}

// poll is the poller over poll(2). The kernel keeps nothing between two calls.
type poll struct {
	k    pollKernel
	pipe *wakePipe
	fds  []unix.PollFd // the first is the pipe's
	gens []uint32      // of fds
	at   []int32       // by descriptor, if it is watched: its place in fds
	next int           // the place from which the next wait reports
}

func newPoll(k pollKernel) (*poll, error) {
	pipe, err := newWakePipe(k)
	if err != nil {
		return nil, err
	}
	p := &poll{k: k, pipe: pipe, next: 1}
	p.fds = append(p.fds, watchFor(int32(pipe.r), Readable))
	p.gens = append(p.gens, 0)
	return p, nil
}

func (p *poll) descriptor() int { return -1 }

func (p *poll) add(fd int32, gen uint32, in Interest) error {
	switch kind, err := p.k.kind(int(fd)); {
	case err != nil:
		return os.NewSyscallError("fstat", err)
	case kind == plainFile: // poll(2) would say for ever that it is ready
		return ErrNotPollable
	}
	p.at = reach(p.at, int(fd))
	p.at[fd] = int32(len(p.fds))
	p.fds = append(p.fds, watchFor(fd, in))
	p.gens = append(p.gens, gen)
	return nil
}

func (p *poll) modify(fd int32, gen uint32, in Interest) error {
	i := p.at[fd]
	p.fds[i], p.gens[i] = watchFor(fd, in), gen
	return nil
}

// remove has the last one take the place that becomes free.
func (p *poll) remove(fd int32) {
	i, last := p.at[fd], len(p.fds)-1
	p.fds[i], p.gens[i] = p.fds[last], p.gens[last]
	p.at[watched(&p.fds[i])] = i
	p.fds, p.gens = p.fds[:last], p.gens[:last]
}

// watchFor is an entry for poll(2). The fields have other types on AIX.
func watchFor(fd int32, in Interest) unix.PollFd {
	f := unix.PollFd{Fd: fd}
	if in&Readable != 0 {
		f.Events |= unix.POLLIN
	}
	if in&Writable != 0 {
		f.Events |= unix.POLLOUT
	}
	return f
}

// mute has poll(2) pass over an entry: negative descriptors are no descriptors.
func mute(f *unix.PollFd) { f.Fd = ^f.Fd }

// watched is the descriptor of an entry, muted or not.
func watched(f *unix.PollFd) int32 { return max(f.Fd, ^f.Fd) }

func (p *poll) wait(into []event, timeout time.Duration) (w waited, err error) {
	ready, err := p.k.poll(p.fds, timeout)
	if err == unix.EINTR {
		return waited{}, nil
	}
	if err != nil {
		return waited{}, os.NewSyscallError("poll", err)
	}
	if p.fds[0].Revents != 0 {
		ready--
		w.woken = true
		if err := p.pipe.drain(); err != nil {
			return w, err
		}
	}
	for left := len(p.fds) - 1; left > 0 && ready > 0; left, p.next = left-1, p.next+1 {
		if p.next >= len(p.fds) {
			p.next = 1
		}
		f := &p.fds[p.next]
		if f.Revents == 0 {
			continue
		}
		if w.n == len(into) {
			w.more = true
			break // here the next wait goes on
		}
		ready--
		ev := event{f.Fd, p.gens[p.next]}
		if f.Revents&unix.POLLNVAL != 0 {
			err = &brokenWatch{ev, os.NewSyscallError("poll", unix.EBADF)}
			continue
		}
		if f.Events == 0 { // an error or a hang-up, which cannot be refused
			mute(f)
		}
		into[w.n] = ev
		w.n++
	}
	return w, err
}

func (p *poll) wake() error { return p.pipe.wake() }

func (p *poll) hush() error { return p.pipe.drain() }

// alarm has nothing to do: nobody sees the poller from outside.
func (p *poll) alarm(time.Duration) error { return nil }

func (p *poll) close() error { return p.pipe.close() }

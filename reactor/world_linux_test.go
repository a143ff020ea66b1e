package reactor

import "golang.org/x/sys/unix"

var eight = one

// counterSize is how many descriptors of the real kernel a counter takes.
const counterSize = 1

// counterDescriptors are what a counter reads and what it is fed by: of the real
// kernel one eventfd, so that twice as many fit into a process.
func counterDescriptors(w *world) (r, feed int, err error) {
	if !w.real {
		return w.pipe()
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return fd, fd, err
}

// descriptors are the loop's own.
func descriptors(l *Loop) []int {
	if p, ok := l.poller.(*epoll); ok {
		return []int{p.ep, p.wakeFD, p.alarmFD}
	}
	return portableDescriptors(l)
}

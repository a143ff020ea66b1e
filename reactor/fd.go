//go:build unix

package reactor

import (
	"errors"
	"syscall"
)

// A Descriptor is a [Source] made of a descriptor and a function: see [FD].
type Descriptor struct {
	fd      int
	want    Interest
	ready   func() error
	changed func() // nil: not in a loop
}

// FD makes a source of a descriptor and a function: for a pipe, a listener, a
// timerfd(2), a signalfd(2), an inotify(7), a child's output, whatever poll(2) can
// wait for. [Loop.Add] puts it into a loop, which calls ready once a turn while the
// descriptor is ready for something in want. Regular files and directories are always
// ready, so Add refuses them with [ErrNotPollable].
//
// ready should do a bounded amount of work, such as one read: what it leaves in the
// kernel comes round again. It is called for readiness that the kernel reported for
// the present want and for no other reason. The end of a stream, a hang-up and an error
// count as readiness.
//
// To read or accept, the descriptor may be a blocking one, provided that want is
// [Readable] alone, that ready makes one call of read(2) or accept(2), and that nobody
// else uses the descriptor. To write, it must be non-blocking: some room is readiness,
// and a blocking write(2) of more than there is room for waits, and the loop with it,
// until the other side has read enough. But a pipe that is ready has room for PIPE_BUF
// bytes, so one blocking write(2) to it of no more than that is safe.
//
// An error that ready returns removes the descriptor from the loop and goes no
// further: ready knows it already. EAGAIN is no error.
//
// The descriptor stays the caller's. Who closes it calls [Loop.Remove] first, also in
// ready, where that is legal like everything else that is legal in a callback.
//
// FD panics if ready is nil.
func FD(fd int, want Interest, ready func() error) *Descriptor {
	if ready == nil {
		panic("reactor: FD with a nil function")
	}
	return &Descriptor{fd: fd, want: want & (Readable | Writable), ready: ready}
}

// Want changes what ready is called for, from the next turn on; of readiness for what
// was wanted before nothing more is heard. 0 pauses: ready is not called then, not
// even for a hang-up. Legal in a callback, ready included, and when the Descriptor is
// in no loop. It allocates nothing.
func (d *Descriptor) Want(want Interest) {
	d.want = want & (Readable | Writable)
	if d.changed != nil {
		d.changed()
	}
}

// GetSelectInfo returns the descriptor, and whether to wait until it can be written.
func (d *Descriptor) GetSelectInfo() (fd int, wantToWrite bool) {
	return d.fd, d.want&Writable != 0
}

// Interest makes the Descriptor an [Interester].
func (d *Descriptor) Interest() (fd int, read, write bool) {
	return d.fd, d.want&Readable != 0, d.want&Writable != 0
}

// TryProcessOneEvent calls ready, if anything is wanted. It is for the loop to call.
func (d *Descriptor) TryProcessOneEvent() (bool, error) {
	if d.want == 0 {
		return false, nil
	}
	err := d.ready()
	if errors.Is(err, syscall.EAGAIN) {
		return false, nil
	}
	return true, err
}

// SetNotify makes the Descriptor a [Notifier]. It is for the loop to call.
func (d *Descriptor) SetNotify(changed func()) { d.changed = changed }

// literally makes the Descriptor a literal source.
func (*Descriptor) literally() {}

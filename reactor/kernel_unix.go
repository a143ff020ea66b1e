//go:build unix

package reactor

import "golang.org/x/sys/unix"

// files is the part of the kernel that has nothing to do with waiting. Errors are
// plain errnos.
type files interface {
	pipe() (r, w int, err error) // non-blocking, close-on-exec
	kind(fd int) (fileKind, error)
	read(fd int, b []byte) (int, error)
	write(fd int, b []byte) (int, error)
	close(fd int) error
}

// fileKind is what a poller must know about a descriptor.
type fileKind uint8

const (
	otherFile fileKind = iota
	plainFile          // a regular file or a directory, which are always ready
	pipeFile           // one end of a pipe(2), or a FIFO
)

// system is the real kernel.
type system struct{}

func (system) kind(fd int) (fileKind, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return otherFile, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return plainFile, nil
	case unix.S_IFIFO:
		return pipeFile, nil
	}
	return otherFile, nil
}

func (system) read(fd int, b []byte) (int, error)  { return unix.Read(fd, b) }
func (system) write(fd int, b []byte) (int, error) { return unix.Write(fd, b) }
func (system) close(fd int) error                  { return unix.Close(fd) }

package krb5

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// stamp is how a file or directory was when it was read: a file that was not there
// has one too.
type stamp struct {
	path string
	info fs.FileInfo // nil: there was none
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return stamp{path, info}
}

// changed tells whether the file is another one now, or has other contents: by inode,
// size and time of modification, as far as the file system tells them apart.
func (s stamp) changed() bool {
	now, err := os.Stat(s.path)
	if err != nil || s.info == nil {
		return (err == nil) != (s.info != nil)
	}
	return !sameState(s.info, now)
}

func sameState(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// stamps are those of everything that something was read from.
type stamps []stamp

func (s stamps) changed() bool {
	for _, one := range s {
		if one.changed() {
			return true
		}
	}
	return false
}

var errNotRegular = errors.New("not a regular file")

// sizeError is a file larger than any of its kind has a reason to be.
type sizeError struct{ limit int64 }

func (e *sizeError) Error() string { return fmt.Sprintf("larger than %d bytes", e.limit) }

// readFile returns the contents of a regular file of at most limit bytes, in a slice
// of its own. A FIFO, which would block us for as long as nobody writes to it, is not
// waited for. A file that is written to while it is read is read once more: MIT's
// programs would lock it, but a lock can be waited for without end.
func readFile(path string, limit int64) ([]byte, stamp, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, stampOf(path), err
	}
	defer f.Close()
	data, info, err := readOnce(f, limit)
	if err != nil {
		return nil, stamp{path, info}, err
	}
	if now, err := f.Stat(); err == nil && !sameState(info, now) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, stamp{path, info}, err
		}
		data, info, err = readOnce(f, limit)
		if err != nil {
			return nil, stamp{path, info}, err
		}
	}
	return data, stamp{path, info}, nil
}

func readOnce(f *os.File, limit int64) ([]byte, fs.FileInfo, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, info, &fs.PathError{Op: "read", Path: f.Name(), Err: errNotRegular}
	case info.Size() > limit:
		return nil, info, &fs.PathError{Op: "read", Path: f.Name(), Err: &sizeError{limit}}
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil // it has become shorter; what is cut will show
	}
	return data[:n:n], info, err
}

// reader takes a file's bytes apart. The first fault stays: what is taken after it is
// zero. Nothing is allocated but what append makes of elements that were there.
type reader struct {
	rest  []byte
	total int
	order byteOrder
	what  string // the fault; "" if there is none
}

type byteOrder interface {
	Uint16([]byte) uint16
	Uint32([]byte) uint32
}

func (r *reader) fail(what string) {
	if r.what == "" {
		r.what = fmt.Sprintf("%s at byte %d", what, r.total-len(r.rest))
	}
	r.rest = nil
}

func (r *reader) ok() bool { return r.what == "" }

// bytes aliases the file's bytes.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.fail("the file is cut short")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return r.order.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

// data is a length and as many bytes.
func (r *reader) data() []byte { return r.bytes(r.uint32()) }

// time is seconds since 1970, without a sign: MIT's, good until 2106. Zero is none.
func (r *reader) time() time.Time {
	if s := r.uint32(); s != 0 {
		return time.Unix(int64(s), 0).UTC()
	}
	return time.Time{}
}

// maxComponents is far above what names have, of two or three.
const maxComponents = 256

// components is a number of them.
func (r *reader) components(n uint32) int {
	if n > maxComponents {
		r.fail("a name of too many components")
		return 0
	}
	return int(n)
}

// keyLength is how long keys are of the encryption types that we have; 0 for others.
func keyLength(etype int32) int {
	switch etype {
	case aes128SHA1, aes128SHA256, rc4HMAC:
		return 16
	case aes256SHA1, aes256SHA384:
		return 32
	}
	return 0
}

// goodKey keeps keys of a wrong length from code that would index beyond them.
func goodKey(etype int32, key []byte) bool {
	want := keyLength(etype)
	return want == 0 || want == len(key)
}

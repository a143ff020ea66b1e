package tlsup

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// This file is the only one that knows what is inside a tls.Conn.
//
// A tls.Conn reads into a bytes.Buffer, rawInput, and keeps it, 32 KiB after the
// first large record, and another one, hand, with the server's certificates after
// the handshake. A connection of ours that sleeps must not: both are exchanged
// for empty ones when they are empty. And since an engine has every record whole
// before crypto/tls sees it, it can also put the record's own memory in the place
// of rawInput, which saves a copy and a buffer: crypto/tls decrypts in place. A
// third, input, reads the plain bytes where they were decrypted, and when it has
// no more to say it still holds that memory, lent or not, until the next record.
//
// None of that is promised by crypto/tls. So the fields are looked up by name and
// type when the program starts, and where they are not what they were, nothing is
// exchanged: connections then work as well, and are larger.

// offsets of fields within a tls.Conn; ok only if all were found.
type offsets struct {
	rawInput, hand, input uintptr
	ok                    bool
}

var layout = inspect(reflect.TypeFor[tls.Conn]())

// inspect looks for the fields in a type that may be tls.Conn as we know it.
func inspect(conn reflect.Type) (o offsets) {
	o.ok = true
	find := func(name string, want reflect.Type) uintptr {
		f, ok := conn.FieldByName(name)
		o.ok = o.ok && ok && len(f.Index) == 1 && f.Type == want
		return f.Offset
	}
	buffer, reader := reflect.TypeFor[bytes.Buffer](), reflect.TypeFor[bytes.Reader]()
	o.rawInput, o.hand, o.input = find("rawInput", buffer), find("hand", buffer), find("input", reader)
	return o
}

// lean reports whether connections can be made to let go of their buffers.
func lean() bool { return layout.ok }

func bufferAt(c *tls.Conn, offset uintptr) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), offset))
}

func readerAt(c *tls.Conn, offset uintptr) *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), offset))
}

// inject makes record what c reads next, in place, and reports whether it could.
// crypto/tls must have taken all that came before.
func inject(c *tls.Conn, record []byte) bool {
	if !layout.ok {
		return false
	}
	raw := bufferAt(c, layout.rawInput)
	if raw.Len() > 0 {
		return false
	}
	*raw = *bytes.NewBuffer(record)
	return true
}

// left reports whether c may have more of the last record. To read in vain would do
// no harm, but crypto/tls makes room first.
func left(c *tls.Conn) bool { return !layout.ok || readerAt(c, layout.input).Len() > 0 }

// slim takes from c the memory in which nothing is left to read; from one that has
// ended, and is never read again, all of it.
func slim(c *tls.Conn, ended bool) {
	if !layout.ok {
		return
	}
	for _, offset := range [...]uintptr{layout.rawInput, layout.hand} {
		if b := bufferAt(c, offset); ended || b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
	if r := readerAt(c, layout.input); ended || r.Len() == 0 {
		*r = bytes.Reader{}
	}
}

package tlsup

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

const (
	warning, fatal = 1, 2

	closeNotify, unexpectedMessage, badRecordMAC, recordOverflow   = 0, 10, 20, 22
	handshakeFailure, internalError, userCanceled, noRenegotiation = 40, 80, 90, 100
)

func alert(level, description byte) []byte { return []byte{level, description} }

func saidAlert(level, description byte) []string {
	return []string{string(append([]byte{typeAlert}, level, description))}
}

// Between two records of data come others: what they make of the data, how the
// connection ends and what the client says to that, however they are cut.
func TestRecordsAfterHandshake(t *testing.T) {
	const v12, v13 = tls.VersionTLS12, tls.VersionTLS13
	type record struct {
		typ   byte
		plain string
	}
	few := func(n int, r record) []record {
		all := make([]record, n)
		for i := range all {
			all[i] = r
		}
		return all
	}
	for _, tc := range []struct {
		name     string
		versions []uint16
		between  []record
		err      string // "": the connection goes on
		said     []string
	}{
		{"nothing", []uint16{v12, v13}, nil, "", nil},
		{"close_notify", []uint16{v12, v13}, few(1, record{typeAlert, "\x01\x00"}), "EOF", nil},
		{"close_notify, fatal", []uint16{v12, v13}, few(1, record{typeAlert, "\x02\x00"}), "EOF", nil},
		{"16 empty records", []uint16{v12, v13}, few(16, record{typeData, ""}), "", nil},
		{"17 empty records", []uint16{v12, v13}, few(17, record{typeData, ""}),
			"tls: too many ignored records", saidAlert(fatal, unexpectedMessage)},
		{"16 warnings", []uint16{v12}, few(16, record{typeAlert, "\x01\x5a"}), "", nil},
		{"17 warnings", []uint16{v12}, few(17, record{typeAlert, "\x01\x5a"}),
			"tls: too many ignored records", saidAlert(fatal, unexpectedMessage)},
		{"user_canceled", []uint16{v13}, few(16, record{typeAlert, "\x01\x5a"}), "", nil},
		{"user_canceled for ever", []uint16{v13}, few(17, record{typeAlert, "\x01\x5a"}),
			"tls: too many ignored records", saidAlert(fatal, unexpectedMessage)},
		{"a warning that 1.3 has not", []uint16{v13}, few(1, record{typeAlert, "\x01\x64"}),
			"remote error: tls: no renegotiation", nil},
		{"a fatal alert", []uint16{v12, v13}, few(1, record{typeAlert, "\x02\x50"}),
			"remote error: tls: internal error", nil},
		{"an alert of no level", []uint16{v12}, few(1, record{typeAlert, "\x03\x50"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"half an alert", []uint16{v12, v13}, few(1, record{typeAlert, "\x02"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"two alerts in one", []uint16{v12, v13}, few(1, record{typeAlert, "\x01\x00\x01\x00"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"change_cipher_spec", []uint16{v12}, few(1, record{typeCCS, "\x01"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"HelloRequest", []uint16{v12}, few(1, record{typeHandshake, "\x00\x00\x00\x00"}),
			"local error: tls: no renegotiation", saidAlert(warning, noRenegotiation)},
		{"HelloRequest in four", []uint16{v12}, few(4, record{typeHandshake, "\x00"}),
			"local error: tls: no renegotiation", saidAlert(warning, noRenegotiation)},
		{"HelloRequest", []uint16{v13}, few(1, record{typeHandshake, "\x00\x00\x00\x00"}),
			"tls: received unexpected handshake message of type *tls.helloRequestMsg", saidAlert(fatal, unexpectedMessage)},
		{"an empty message", []uint16{v12, v13}, few(1, record{typeHandshake, ""}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"data within a message", []uint16{v13}, few(1, record{typeHandshake, "\x18\x00"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"a message of 16 MB", []uint16{v12, v13}, few(1, record{typeHandshake, "\x04\xff\xff\xff"}),
			"tls: handshake message of length 16777215 bytes exceeds maximum of 65536 bytes", saidAlert(fatal, internalError)},
		{"a type that is none", []uint16{v13}, few(1, record{99, "x"}),
			"local error: tls: unexpected message", saidAlert(fatal, unexpectedMessage)},
		{"data of 2^14+1 bytes", []uint16{v12}, few(1, record{typeData, strings.Repeat("x", maxPlaintext+1)}),
			"local error: tls: record overflow", saidAlert(fatal, recordOverflow)},
	} {
		for _, version := range tc.versions {
			for name, cut := range cutters {
				f := forge(t, version)
				stream := [][]byte{f.in.seal(typeData, []byte("before"))}
				for _, r := range tc.between {
					stream = append(stream, f.in.seal(r.typ, []byte(r.plain)))
				}
				stream = append(stream, f.in.seal(typeData, []byte("after")))
				got, err := f.hear(cut, stream...)
				want := "before"
				if tc.err == "" {
					want += "after"
				}
				if got != want {
					t.Errorf("%s: data is read up to the end\n got: %q\nwant: %q", tc.name, got, want)
				}
				ends(t, tc.name+" ends a connection, or not", f.c, err, tc.err)
				if said := f.said(); !reflect.DeepEqual(said, tc.said) {
					t.Errorf("%s: what the client says to that\n got: %q\nwant: %q", tc.name, said, tc.said)
				}
				if t.Failed() {
					t.Fatalf("%s, cut by %s", tls.VersionName(version), name)
				}
			}
		}
	}
}

// A record that was changed ends the connection at any place.
func TestChangedRecord(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		n := len(forge(t, version).in.seal(typeData, []byte("12345")))
		for i := headerLen; i < n; i++ {
			f := forge(t, version)
			before, changed := f.in.seal(typeData, []byte("before")), f.in.seal(typeData, []byte("12345"))
			changed[i] ^= 1 << (i % 8)
			got, err := f.hear(whole, before, changed)
			if got != "before" {
				t.Errorf("nothing of a changed record is read\n got: %q", got)
			}
			ends(t, "a changed record is refused", f.c, err, "local error: tls: bad record MAC")
			if said, want := f.said(), saidAlert(fatal, badRecordMAC); !reflect.DeepEqual(said, want) {
				t.Errorf("the peer is told\n got: %q\nwant: %q", said, want)
			}
		}
	})
}

// Records that come twice, or in another order, or not at all, are as good as changed.
func TestReplayedRecord(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		for _, order := range [][]int{{0, 0}, {1}, {0, 2}, {0, 1, 0}} {
			f := forge(t, version)
			var all, stream [][]byte
			for i := range 3 {
				all = append(all, f.in.seal(typeData, fmt.Appendf(nil, "%d", i)))
			}
			for _, i := range order {
				stream = append(stream, all[i])
			}
			got, err := f.hear(whole, stream...)
			if want := "012"[:len(order)-1]; got != want {
				t.Errorf("records are read in their order\n got: %q\nwant: %q", got, want)
			}
			ends(t, "a record out of its order is refused", f.c, err, "local error: tls: bad record MAC")
		}
	})
}

// The longest records that are allowed, and by one byte longer ones, which need not
// be whole to be refused.
func TestRecordLimit(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	longest := string(text(maxPlaintext))
	got, err := f.hear(whole, f.in.seal(typeData, []byte(longest)), f.in.sealPadded(typeData, nil, maxPlaintext))
	if got != longest || err != nil {
		t.Errorf("a record of 2^14 bytes is read, and one of as much padding\n got: %d bytes, %v", len(got), err)
	}
	_, err = f.hear(whole, f.in.sealPadded(typeData, nil, maxPlaintext+1))
	ends(t, "padding counts", f.c, err, "local error: tls: record overflow")

	for _, tc := range []struct {
		version uint16
		n       int
		refused bool
	}{
		{tls.VersionTLS13, maxPlaintext + 256, false},
		{tls.VersionTLS13, maxPlaintext + 257, true},
		{tls.VersionTLS12, maxPayload, false},
		{tls.VersionTLS12, maxPayload + 1, true},
		{tls.VersionTLS12, 65535, true},
	} {
		for name, cut := range cutters {
			f := forge(t, tc.version)
			stream := header(typeData, tc.n)
			if tc.n <= maxPayload {
				stream = append(stream, make([]byte, tc.n)...)
			}
			if name != "bytes" {
				stream = append(f.in.seal(typeData, []byte("before")), stream...)
			}
			_, err := f.hear(cut, stream)
			want, description := "local error: tls: bad record MAC", byte(badRecordMAC)
			if tc.refused {
				want = fmt.Sprintf("tls: oversized record received with length %d", tc.n)
				description = recordOverflow
			}
			ends(t, fmt.Sprintf("%d bytes in a record, cut by %s", tc.n, name), f.c, err, want)
			if said, want := f.said(), saidAlert(fatal, description); !reflect.DeepEqual(said, want) {
				t.Errorf("the peer is told\n got: %q\nwant: %q", said, want)
			}
		}
	}
}

// close_notify from both ends. After the peer's one can go on writing.
func TestCloseNotify(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		if err := p.s.Write([]byte("bye")); err != nil {
			t.Fatal(err)
		}
		p.s.CloseNotify()
		p.s.CloseNotify()
		stream := take(p.s)
		if n := len(records(stream)); n != 2 {
			t.Errorf("close_notify is sent once\n got: %d records\nwant: 2", n)
		}
		if p.s.Write([]byte("x")) == nil {
			t.Error("behind close_notify nothing is written: it was")
		}
		got, err := deliver(t, p.c, append(stream, "what comes behind it is not looked at"...), whole, 0)
		if string(got) != "bye" {
			t.Errorf("what stands before close_notify is read\n got: %q", got)
		}
		if err := p.c.Write([]byte("still here")); err != nil {
			t.Errorf("who has got close_notify can write\n got: %v", err)
		}
		p.c.CloseNotify()
		back, eof := deliver(t, p.s, take(p.c), whole, 0)
		if string(back) != "still here" || eof != io.EOF {
			t.Errorf("who has sent it can read, up to the other's\n got: %q %v", back, eof)
		}
		ends(t, "close_notify is the end", p.c, err, "EOF")
	})
}

// Where the stream ends within a record it was cut off.
func TestPartial(t *testing.T) {
	eachWay(t, func(t *testing.T, version uint16) {
		p := connect(t, version)
		if err := p.s.Write(text(maxPlaintext + 10)); err != nil {
			t.Fatal(err)
		}
		if p.c.Partial() {
			t.Error("after a handshake no record has begun: one has")
		}
		stream := take(p.s)
		borders := map[int]bool{}
		at := 0
		for _, r := range records(stream) {
			at += len(r)
			borders[at] = true
		}
		for i, b := range every(1)(stream) {
			if _, err := deliver(t, p.c, b, whole, 500); err != nil {
				t.Fatal(err)
			}
			if got, want := p.c.Partial(), !borders[i+1]; got != want {
				t.Fatalf("after %d bytes a record has begun, or not\n got: %t\nwant: %t", i+1, got, want)
			}
		}
	})
}

// What is not TLS is shown.
func TestNotTLS(t *testing.T) {
	long := strings.Repeat("* OK ready\r\n", 100)
	for _, in := range []string{
		"* OK ready\r\n", "220 mail ESMTP\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", long, "\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff",
		"\x80\x2e\x01\x03\x01", "\x16\x02\x01\x00\x05", "\x13\x03\x03\x00\x01", "\x18\x03\x03\x00\x01", // SSLv2, a version and types that are none
	} {
		for _, cut := range []cutter{whole, every(1), every(3), after(5), after(4)} {
			t.Run("", func(t *testing.T) {
				p := ofVersion(t, tls.VersionTLS13)
				if _, err := p.c.Step(); err != nil {
					t.Fatal(err)
				}
				_, err := deliver(t, p.c, []byte(in), cut, 0)
				checkNotTLS(t, err, in, true)
				suspended(t, 0)
			})
			t.Run("behind a handshake", func(t *testing.T) {
				f := forge(t, tls.VersionTLS13)
				got, err := f.hear(cut, []byte(in))
				if got != "" {
					t.Errorf("nothing is read\n got: %q", got)
				}
				checkNotTLS(t, err, in, false)
				if said := f.said(); said != nil {
					t.Errorf("the peer would not understand an alert\n got: %q", said)
				}
				f.c.CloseNotify()
				if len(f.c.Pending()) != 0 {
					t.Error("nor close_notify: it is pending")
				}
			})
		}
	}
}

func checkNotTLS(t *testing.T, err error, in string, first bool) {
	t.Helper()
	var not *NotTLSError
	if !errors.As(err, &not) {
		t.Fatalf("%.20q is no TLS\n got: %v", in, err)
	}
	if n := len(not.Input); n < headerLen || n > 200 || !bytes.HasPrefix([]byte(in), not.Input) {
		t.Errorf("the beginning of what came is shown\n got: %q\nwant: %.200q", not.Input, in)
	}
	if not.First != first {
		t.Errorf("whether something had come before\n got: First %t\nwant: %t", not.First, first)
	}
}

// The error shows as much of the text as has come, what Keep had copied included.
func TestNotTLSInput(t *testing.T) {
	in := strings.Repeat("* OK ready\r\n", 30)
	for _, at := range []int{0, 1, 4} {
		p := ofVersion(t, tls.VersionTLS13)
		_, _ = p.c.Step()
		_, err := deliver(t, p.c, []byte(in), after(at), 0)
		var not *NotTLSError
		if !errors.As(err, &not) || string(not.Input) != in[:200] {
			t.Errorf("cut at %d, 200 bytes are shown\n got: %v", at, err)
		}
	}
}

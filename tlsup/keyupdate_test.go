package tlsup

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const notRequested, requested = 0, 1

// keyUpdate is the message (RFC 8446 section 4.6.3), after which the sender goes on
// to its next key. crypto/tls never begins one.
func (f *forged) keyUpdate(request byte) []byte {
	record := f.in.seal(typeHandshake, []byte{msgKeyUpdate, 0, 0, 1, request})
	f.in.update()
	return record
}

// answers checks that the client has that many answers pending and nothing else.
// Its next words are under the next key.
func (f *forged) answers(n int) {
	f.t.Helper()
	all := records(take(f.c))
	if len(all) != n {
		f.t.Errorf("each KeyUpdate that asks for it is answered\n got: %d records\nwant: %d", len(all), n)
	}
	want := string([]byte{typeHandshake, msgKeyUpdate, 0, 0, 1, notRequested})
	for _, r := range all {
		typ, plain := f.out.open(r)
		if got := string(typ) + string(plain); got != want {
			f.t.Errorf("the answer asks for none\n got: %q\nwant: %q", got, want)
		}
		f.out.update()
	}
}

// KeyUpdates between, before and behind data, asking for an answer or not. What is
// said in either direction afterwards is under the new keys.
func TestKeyUpdate(t *testing.T) {
	type step struct {
		data    string
		request int // -1: data
	}
	data := func(s string) step { return step{s, -1} }
	update := func(request int) step { return step{"", request} }
	for _, script := range [][]step{
		{update(notRequested)},
		{update(requested)},
		{data("a"), update(notRequested), data("b")},
		{data("a"), update(requested), data("b")},
		{update(requested), data("a"), update(notRequested), update(requested), data("b"), update(requested)},
		{data(strings.Repeat("x", maxPlaintext)), update(requested), data(strings.Repeat("y", maxPlaintext))},
	} {
		for _, known := range []bool{true, false} {
			for name, cut := range cutters {
				t.Run(fmt.Sprintf("%d steps, %s, layout=%t", len(script), name, known), func(t *testing.T) {
					setLayout(t, known)
					f := forge(t, tls.VersionTLS13)
					for range 2 {
						f.play(cut, func(stream *[][]byte, want *string, asked *int) {
							for _, s := range script {
								if s.request < 0 {
									*stream = append(*stream, f.in.seal(typeData, []byte(s.data)))
									*want += s.data
									continue
								}
								*stream = append(*stream, f.keyUpdate(byte(s.request)))
								*asked += s.request
							}
						})
					}
				})
			}
		}
	}
}

// play tells the client what script says and checks what it makes of it, and that
// it can write.
func (f *forged) play(cut cutter, script func(stream *[][]byte, want *string, asked *int)) {
	f.t.Helper()
	var stream [][]byte
	var want string
	asked := 0
	script(&stream, &want, &asked)
	got, err := f.hear(cut, stream...)
	if got != want || err != nil {
		f.t.Fatalf("data is read under whatever key\n got: %.20q %v\nwant: %.20q", got, err, want)
	}
	if f.c.Partial() {
		f.t.Error("nothing is left: a record has begun")
	}
	f.answers(asked)
	if err := f.c.Write([]byte("mine")); err != nil {
		f.t.Fatal(err)
	}
	if got, want := f.said(), []string{"\x17mine"}; !reflect.DeepEqual(got, want) {
		f.t.Errorf("data is written under the key that the last answer announced\n got: %q\nwant: %q", got, want)
	}
}

// A message may be spread over records; a key changes at the border of one.
func TestKeyUpdateSpread(t *testing.T) {
	message := []byte{msgKeyUpdate, 0, 0, 1, requested}
	for at := 1; at < len(message); at++ {
		f := forge(t, tls.VersionTLS13)
		f.play(whole, func(stream *[][]byte, want *string, asked *int) {
			*stream = append(*stream, f.in.seal(typeData, []byte("before")),
				f.in.seal(typeHandshake, message[:at]), f.in.seal(typeHandshake, message[at:]))
			f.in.update()
			*stream = append(*stream, f.in.seal(typeData, []byte("after")))
			*want, *asked = "beforeafter", 1
		})
	}
}

func TestKeyUpdateFaults(t *testing.T) {
	update := string([]byte{msgKeyUpdate, 0, 0, 1, notRequested})
	if since("go1.26.2") { // CVE-2026-32283: until then crypto/tls waits for its own lock
		update = string([]byte{msgKeyUpdate, 0, 0, 1, requested})
	}
	for _, tc := range []struct{ name, message, err string }{
		{"two in a record", update + update, "tls: handshake buffer not empty before setting read traffic secret"},
		{"half of another in it", update + update[:2], "tls: handshake buffer not empty before setting read traffic secret"},
		{"a request that is none", update[:4] + "\x02", "local error: tls: error decoding message"},
		{"no request", update[:3] + "\x00", "local error: tls: error decoding message"},
	} {
		f := forge(t, tls.VersionTLS13)
		got, err := f.hear(whole, f.in.seal(typeData, []byte("before")), f.in.seal(typeHandshake, []byte(tc.message)))
		if got != "before" {
			t.Errorf("%s: data is read up to the end\n got: %q", tc.name, got)
		}
		ends(t, tc.name, f.c, err, tc.err)
	}
	f := forge(t, tls.VersionTLS13)
	f.keyUpdate(notRequested) // and it is lost
	_, err := f.hear(whole, f.in.seal(typeData, []byte("x")))
	ends(t, "the next key must be announced", f.c, err, "local error: tls: bad record MAC")
}

// crypto/tls ends a connection on which 17 of them come with no data between.
func TestKeyUpdatesWithoutData(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	var stream [][]byte
	for range 16 {
		stream = append(stream, f.keyUpdate(requested))
	}
	if _, err := f.hear(whole, stream...); err != nil {
		t.Errorf("16 KeyUpdates are good\n got: %v", err)
	}
	f.answers(16)
	if !since("go1.26.6") {
		return // CVE-2026-56862: until then there is no end
	}
	_, err := f.hear(whole, f.keyUpdate(requested))
	ends(t, "17 are not", f.c, err, "tls: too many non-advancing records")
}

// A peer that sends data between, and reads no answer, ends with ErrFlood. What it
// has been sent before that is bounded; the data before it is read.
func TestKeyUpdateFlood(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	n := 0
	for {
		n++
		got, err := f.hear(whole, slices.Concat(f.in.seal(typeData, []byte("x")), f.keyUpdate(requested), f.in.seal(typeData, []byte("y"))))
		if err != nil {
			ends(t, "a flood is the end", f.c, err, ErrFlood.Error())
			if got != "x" {
				t.Errorf("data before the last straw is read\n got: %q", got)
			}
			break
		}
		if got != "xy" {
			t.Fatalf("data is read\n got: %q", got)
		}
	}
	const answer = headerLen + 5 + 1 + 16
	if want := maxUnsent/answer + 1; n != want {
		t.Errorf("the flood ends where the limit is\n got: %d KeyUpdates\nwant: %d", n, want)
	}
	if c := cap(f.c.pipe.out.b); c > 2*maxUnsent {
		t.Errorf("memory is bounded by twice the limit\n got: %d", c)
	}
}

// Neither answers that were read are a flood, nor what we ourselves have written.
func TestNoFlood(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	if err := f.c.Write(text(4 * maxUnsent)); err != nil {
		t.Fatal(err)
	}
	talk := func() {
		t.Helper()
		if _, err := f.hear(whole, f.in.seal(typeData, []byte("x")), f.keyUpdate(requested)); err != nil {
			t.Fatalf("a peer that reads may ask for new keys\n got: %v", err)
		}
	}
	for range 1000 {
		talk()
		f.c.Sent(1000)
	}
	for range maxUnsent / 20 {
		talk()
		f.c.Sent(len(f.c.Pending()))
	}
	if len(f.c.Pending()) != 0 || f.c.pipe.out.b != nil {
		t.Error("when all is sent no buffer is held: one is")
	}
}

// Behind a close_notify of ours a KeyUpdate is no fault, and what comes is read.
func TestKeyUpdateAfterCloseNotify(t *testing.T) {
	f := forge(t, tls.VersionTLS13)
	f.c.CloseNotify()
	if got, want := f.said(), saidAlert(warning, closeNotify); !reflect.DeepEqual(got, want) {
		t.Errorf("close_notify is pending\n got: %q\nwant: %q", got, want)
	}
	got, err := f.hear(whole, f.keyUpdate(requested), f.in.seal(typeData, bytes.Repeat([]byte("x"), 3)))
	if got != "xxx" || err != nil {
		t.Errorf("who has sent close_notify can read\n got: %q %v", got, err)
	}
}

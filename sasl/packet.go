package sasl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// codec is what differs between security layers that send packets: how data is made
// a packet and the other way round. It belongs to one connection, and counts.
type codec interface {
	// name is the layer's, for errors: "DIGEST-MD5 auth-int".
	name() string
	// shortest is the length of the shortest packet there can be. What is shorter is
	// refused before a byte of it is looked at.
	shortest() int
	// overhead is by how much a packet can be longer than its data.
	overhead() int
	// seal appends the packet that holds p to dst, which has room for it. An error
	// is final.
	seal(dst, p []byte) ([]byte, error)
	// open returns the data of a packet, in the packet's own memory. Nothing of a packet
	// that fails a check is returned. An error is a [*LayerError] whose Mechanism is filled in by the caller.
	open(packet []byte) ([]byte, error)
}

const (
	lengthLen = 4       // of the length before a packet, RFC 4422 section 3.7
	maxPacket = 1 << 16 // that we announce, and that we send, whatever the peer could take
)

// maxReceive is the longest packet that a login announces.
func maxReceive(p Params) int {
	if p.MaxReceive <= 0 {
		return maxPacket
	}
	return min(p.MaxReceive, maxPacket)
}

// allowedProt is what may come of a login.
func allowedProt(p Params) Prot {
	if p.Prot == 0 {
		return ProtNone
	}
	return p.Prot
}

// packetLayer is a security layer (RFC 4422 section 3.7): packets, each behind its
// length. It is a [Layer].
//
// Packets are decoded where they lie: in the memory that is lent by Feed, or, when
// they came in parts, in what Keep has copied. Memory that is needed only while
// packets are in flight is lent by pools of the process, so that an idle layer has none.
type packetLayer struct {
	codec   codec
	longest int    // packet that the peer may send: what we have announced
	room    int    // for data in a packet of ours, so that the peer can take it
	fed     []byte // lent by Feed
	rest    queue  // what Keep has copied: bytes that stand before fed in the stream
	data    []byte // of the last packet, what Read had no room for; lies in the packet's memory, or in held
	held    []byte // lent by the pool: data that Keep had to move
	out     queue  // packets to be sent
	err     error  // for good
}

// newPacketLayer makes a layer of a codec. announced is the longest packet that the
// peer was told it may send; theirs is what the peer said.
func newPacketLayer(c codec, announced, theirs int) (*packetLayer, error) {
	room := min(theirs, maxPacket) - c.overhead()
	if room < 1 || announced < c.shortest() {
		return nil, fmt.Errorf("sasl: packets of %d bytes leave %s no room for data", min(theirs, announced), c.name())
	}
	return &packetLayer{codec: c, longest: announced, room: room}, nil
}

// Feed takes bytes that the peer has sent, cut anywhere. p is lent, and written to,
// until Keep; the last loan must have ended.
func (l *packetLayer) Feed(p []byte) { l.fed = p }

// Keep ends the loan of what was fed: what could not be used yet is copied.
func (l *packetLayer) Keep() {
	if len(l.data) > 0 && l.held == nil {
		l.held = append(lend(len(l.data)), l.data...)
		l.data = l.held
	}
	if l.err == nil { // what comes behind the end is nobody's
		l.rest.add(l.fed)
	}
	l.fed = nil
	l.tidy()
}

// tidy gives back all memory in which nothing is left.
func (l *packetLayer) tidy() {
	if len(l.data) == 0 {
		l.data = nil // it still points into some packet
		giveBack(l.held)
		l.held = nil
	}
	if l.data == nil || l.held != nil {
		l.rest.tidy()
	}
	l.out.tidy()
}

// Read moves decoded bytes to p, as many as there are. 0 and no error: no packet is
// whole; feed more. An error is a [*LayerError] and final. What came before it is
// read first.
func (l *packetLayer) Read(p []byte) (n int, err error) {
	for n < len(p) && (len(l.data) > 0 || l.next()) {
		k := copy(p[n:], l.data)
		l.data = l.data[k:]
		n += k
	}
	if len(l.data) == 0 {
		l.tidy()
	}
	if n == 0 {
		return 0, l.err
	}
	return n, nil
}

// next opens the next packet, if it is whole.
func (l *packetLayer) next() bool {
	l.tidy()
	if l.err != nil {
		return false
	}
	packet, err := l.packet()
	if packet != nil {
		l.data, err = l.codec.open(packet)
	}
	if err != nil {
		l.fail(err)
	}
	return packet != nil && err == nil
}

func (l *packetLayer) fail(err error) {
	if bad, ok := errors.AsType[*LayerError](err); ok {
		bad.Mechanism = l.codec.name()
	}
	l.err = err
	l.rest.drop(l.rest.len())
	l.fed, l.data = nil, nil
	l.tidy()
}

// packet takes the next packet out of the input, without its length; nil: it is not
// whole. Its memory is valid until tidy.
func (l *packetLayer) packet() ([]byte, error) {
	if l.rest.len() == 0 {
		n, err := l.length(l.fed)
		if n == 0 || n > len(l.fed) {
			return nil, err
		}
		packet := l.fed[lengthLen:n:n]
		l.fed = l.fed[n:]
		return packet, nil
	}
	// One has begun in what was kept.
	l.borrow(lengthLen)
	n, err := l.length(l.rest.bytes())
	if n == 0 {
		return nil, err
	}
	l.borrow(n)
	if l.rest.len() < n {
		return nil, nil
	}
	packet := l.rest.bytes()[lengthLen:n:n]
	l.rest.drop(n)
	return packet, nil
}

// borrow takes from fed what rest needs to be n bytes long.
func (l *packetLayer) borrow(n int) {
	if k := min(n-l.rest.len(), len(l.fed)); k > 0 {
		l.rest.add(l.fed[:k])
		l.fed = l.fed[k:]
	}
}

// length is that of the packet which begins b, its length's own bytes included; 0:
// it has not come yet, or is none that a packet may have.
func (l *packetLayer) length(b []byte) (int, error) {
	if len(b) < lengthLen {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(b)
	switch {
	case int64(n) < int64(l.codec.shortest()):
		return 0, &LayerError{What: fmt.Sprintf("a packet of %d bytes, which cannot hold its checksum", n)}
	case int64(n) > int64(l.longest):
		return 0, &LayerError{What: fmt.Sprintf("a packet of %d bytes, more than the %d that were agreed on", n, l.longest)}
	}
	return lengthLen + int(n), nil
}

// Write encodes p, in as many packets as the peer's maximum demands; they are pending then.
func (l *packetLayer) Write(p []byte) error {
	if len(p) == 0 || l.err != nil {
		return l.err
	}
	packets := (len(p)-1)/l.room + 1
	l.out.grow(len(p) + packets*(lengthLen+l.codec.overhead()))
	for len(p) > 0 {
		n := min(len(p), l.room)
		if err := l.seal(p[:n]); err != nil {
			l.err = err
			return err
		}
		p = p[n:]
	}
	return nil
}

func (l *packetLayer) seal(p []byte) error {
	at := len(l.out.b)
	b, err := l.codec.seal(append(l.out.b, 0, 0, 0, 0), p)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-lengthLen))
	l.out.b = b
	return nil
}

// Pending is the packets to be sent. It is valid until the next call.
func (l *packetLayer) Pending() []byte { return l.out.bytes() }

// Sent says that the first n bytes of what is pending have been sent.
func (l *packetLayer) Sent(n int) {
	l.out.drop(n)
	l.out.tidy()
}

// Partial reports whether a packet has begun and is not whole: where the stream ends
// like that, it was cut off.
func (l *packetLayer) Partial() bool { return l.err == nil && (len(l.fed) > 0 || l.rest.len() > 0) }

// Abort ends the layer, at any time, and gives its memory back.
func (l *packetLayer) Abort() {
	if l.err == nil {
		l.err = errAborted
	}
	l.rest.drop(l.rest.len())
	l.out.drop(l.out.len())
	l.fed, l.data = nil, nil
	l.tidy()
}

var errAborted = errors.New("sasl: the security layer was abandoned")

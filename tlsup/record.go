package tlsup

import (
	"bytes"
	"encoding/binary"
)

// Limits of a record (RFC 8446 section 5.1, RFC 5246 section 6.2).
const (
	headerLen    = 5
	maxPlaintext = 1 << 14
	// maxPayload is what TLS 1.2 allows; of TLS 1.3's lower limit crypto/tls takes care.
	maxPayload = maxPlaintext + 2048
)

// record takes the next record out of the input, if it is whole. Its memory is valid
// until the next call. crypto/tls never sees a part of one: it would keep the part in
// a buffer of its own, as large as the header announces.
func (e *Engine) record() ([]byte, error) {
	if e.rest.len() == 0 {
		e.rest.tidy()
		n, err := e.recordLen(e.fed)
		if n == 0 || n > len(e.fed) || err != nil {
			return nil, err
		}
		record := e.fed[:n]
		e.fed = e.fed[n:]
		return record, nil
	}
	// One has begun in what was kept.
	e.borrow(headerLen)
	n, err := e.recordLen(e.rest.bytes())
	if err != nil {
		e.borrow(maxInput) // for the error to show
		_, err = e.recordLen(e.rest.bytes())
	}
	if n == 0 || err != nil {
		return nil, err
	}
	e.borrow(n)
	if e.rest.len() < n {
		return nil, nil
	}
	record := e.rest.bytes()[:n]
	e.rest.drop(n)
	return record, nil
}

// borrow takes from fed what rest needs to be n bytes long.
func (e *Engine) borrow(n int) {
	if k := min(n-e.rest.len(), len(e.fed)); k > 0 {
		e.rest.add(e.fed[:k])
		e.fed = e.fed[k:]
	}
}

// recordLen is the length of the record that begins b, header included; 0: the
// header is not whole.
func (e *Engine) recordLen(b []byte) (int, error) {
	if len(b) < headerLen {
		return 0, nil
	}
	const changeCipherSpec, applicationData = 20, 23
	if b[0] < changeCipherSpec || b[0] > applicationData || b[1] != 3 {
		return 0, &NotTLSError{Input: bytes.Clone(b[:min(len(b), maxInput)]), First: !e.begun}
	}
	e.begun = true
	payload := int(binary.BigEndian.Uint16(b[3:]))
	if payload > maxPayload {
		return headerLen, nil // crypto/tls refuses it, with an alert, by its header
	}
	return headerLen + payload, nil
}

// partial is the part of the next record that has come.
func (e *Engine) partial() []byte {
	if e.rest.len() > 0 {
		return e.rest.bytes()
	}
	return e.fed
}

// Need returns how many bytes the header that has begun still lacks, or the record.
// Who feeds no more than that to a handshake has nothing in the engine, when it is
// done, of what comes behind it. Call it after Keep.
func (e *Engine) Need() int {
	b := e.partial()
	n, err := e.recordLen(b)
	if n == 0 && err == nil {
		n = headerLen
	}
	return max(n-len(b), 1)
}

// Ready reports whether Step has something to do: to begin, or a record to take. Call it after Keep.
func (e *Engine) Ready() bool {
	if e.done || e.err != nil || e.hands == nil {
		return true
	}
	b := e.partial()
	n, err := e.recordLen(b)
	return err != nil || n > 0 && n <= len(b)
}

package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

const (
	// headersAtOnce is how many headers one FETCH asks for.
	headersAtOnce = 8
	// largestBody is the largest message, in bytes, whose body is fetched from a
	// real server.
	largestBody = 256 << 10
	// maxMessages bounds what is used of a mailbox: positions are 16 bits.
	maxMessages = 10_000
)

// account is a mailbox with what is known of it, shared by those who log in as
// its user.
type account struct {
	user    string
	members int      // sessions that use it
	uids    []uint32 // ascending; empty: not known yet
	bodies  []uint16 // positions in uids of messages that are not too large
	memory  []remembered
	filler  *session   // fills the mailbox; nil: nobody does
	waiting []*session // until it is full
}

// remembered is what is known of a message of a real server.
type remembered struct {
	size         uint32
	header, body firstComing
}

// firstComing is how a section looked when it came first.
type firstComing struct {
	hash uint64 // 0: it has not come yet
	ours bool   // generated, and every byte of it right
}

// surveyed is a message as a FETCH of the sizes shows it.
type surveyed struct{ uid, size uint32 }

func (a *account) known() bool { return len(a.uids) > 0 }

// position finds a message by its UID.
func (a *account) position(uid uint32) (int, bool) { return slices.BinarySearch(a.uids, uid) }

// private reports whether each member can have messages to itself.
func (a *account) private() bool { return a.members <= len(a.uids) }

// ownPosition moves a position to one that only that member changes, where there
// are enough of them.
func (a *account) ownPosition(member, at int) int {
	if !a.private() {
		return at
	}
	at += member - at%a.members
	if at >= len(a.uids) {
		at -= a.members
	}
	return at
}

// checker knows what mail must look like.
type checker struct {
	mails   [][]byte // of each mailbox; nil: not known, the server is real
	headers [][]byte
	bodies  []uint16 // all positions
	uids    []uint32 // of the mailbox looked at last
	seed    maphash.Seed
	special []mailgen.Message // hard cases: number 1, 2, ...
}

func newChecker(mails [][]byte) checker {
	c := checker{mails: mails, seed: maphash.MakeSeed()}
	for i, mail := range mails {
		c.headers = append(c.headers, headerOf(mail))
		c.bodies = append(c.bodies, uint16(i))
	}
	if mails == nil {
		c.special = mailgen.Messages(smallSpecials)
	}
	return c
}

// adopt takes a survey of a mailbox for what there is. problem is empty when it
// is as it must be.
func (c *checker) adopt(a *account, found []surveyed, asked int) (problem string) {
	if len(found) != asked {
		return fmt.Sprintf("%d of %d messages listed", len(found), asked)
	}
	if c.mails != nil && len(found) != len(c.mails) {
		return fmt.Sprintf("%d messages where %d were put", len(found), len(c.mails))
	}
	uids := make([]uint32, len(found))
	for i, m := range found {
		if i > 0 && m.uid <= uids[i-1] || m.uid == 0 {
			return fmt.Sprintf("UID %d out of order", m.uid)
		}
		if c.mails != nil && int(m.size) != len(c.mails[i]) {
			return fmt.Sprintf("UID %d has the size %d, not %d", m.uid, m.size, len(c.mails[i]))
		}
		uids[i] = m.uid
	}
	a.bodies = c.bodies
	if c.mails == nil {
		a.memory = make([]remembered, len(found))
		for i, m := range found {
			a.memory[i].size = m.size
			if m.size <= largestBody {
				a.bodies = append(a.bodies, uint16(i))
			}
		}
	}
	if len(a.bodies) == 0 {
		return fmt.Sprintf("no message is smaller than %d KiB", largestBody>>10)
	}
	// Mailboxes that were filled alike share one list: it is most of what an
	// account takes.
	if !slices.Equal(uids, c.uids) {
		c.uids = uids
	}
	a.uids = c.uids
	return ""
}

// compare checks the header or the whole of the message at a position. ours says
// that it was generated, so that every byte is known.
func (c *checker) compare(a *account, at int, v verb, data []byte) (ours bool, problem string) {
	if c.mails != nil {
		want := c.mails[at]
		if v == verbHeaders {
			want = c.headers[at]
		}
		return true, difference(data, want)
	}
	m := &a.memory[at]
	slot := &m.header
	if v == verbBody {
		slot = &m.body
		if len(data) != int(m.size) {
			return false, fmt.Sprintf("%d bytes, but RFC822.SIZE said %d", len(data), m.size)
		}
	}
	hash := maphash.Bytes(c.seed, data) | 1
	switch {
	case slot.hash == hash:
		return slot.ours, ""
	case slot.hash != 0:
		return slot.ours, fmt.Sprintf("%d bytes that are not those of the first time", len(data))
	}
	if m.size <= largestBody {
		ours, problem = c.compareGenerated(v, data)
	}
	if problem == "" {
		*slot = firstComing{hash, ours}
	}
	return ours, problem
}

// compareGenerated looks whether a message of a real server is one of ours, as
// the testbed's are, and then what it must look like. Under its number there is
// a hard case, an ordinary mail, or both.
func (c *checker) compareGenerated(v verb, data []byte) (ours bool, problem string) {
	number, ok := generatedNumber(headerOf(data))
	if !ok {
		return false, ""
	}
	candidates := [][]byte{mailgen.Ordinary(number).Data}
	if number <= len(c.special) {
		candidates = append(candidates, c.special[number-1].Data)
	}
	for _, want := range candidates {
		if v == verbHeaders {
			want = headerOf(want)
		}
		if problem = difference(data, want); problem == "" {
			return true, ""
		}
	}
	return true, problem
}

// generatedNumber finds the number of a generated mail in its header.
func generatedNumber(header []byte) (int, bool) {
	const before, after = "\r\nMessage-ID: <", "@imclient.test>\r\n"
	_, rest, ok := bytes.Cut(header, []byte(before))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(rest, []byte(after))
	if !ok || len(digits) > 9 {
		return 0, false
	}
	number, err := strconv.Atoi(string(digits))
	return number, err == nil && number > 0
}

// difference says where two messages differ, "" if nowhere.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("%d bytes where %d were expected, the first difference is at %d", len(got), len(want), at)
}

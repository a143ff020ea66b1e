package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

func TestEmbeddedMails(t *testing.T) {
	const n = 64
	mails := embeddedMails(n)
	if len(mails) != n || len(embeddedMails(3)) != 3 || len(embeddedMails(0)) != 0 {
		t.Fatalf("there must be as many as asked for, not %d", len(mails))
	}
	hard := 0
	for i, mail := range mails {
		if !returnedIntact(mail) {
			t.Errorf("the server must be able to return mail %d as it is", i)
		}
		if len(mail) > largestMail {
			t.Errorf("mail %d is large, %d bytes", i, len(mail))
		}
		if bytes.Contains(mail, []byte("{10}")) || hasLoneCR(mail) {
			hard++
		}
	}
	if hard < 4 {
		t.Errorf("hard cases must be among them")
	}
	if returnedIntact([]byte("Subject: nothing follows\r\n")) {
		t.Errorf("a header without its empty line must count as one that go-imap changes, as it does")
	}
	for _, mail := range fillMails(n) {
		if hasLoneCR(mail) {
			t.Errorf("mail for real servers must have no CR alone: %.60q", mail)
		}
	}
	if len(fillMails(n)) != n {
		t.Errorf("there must be as many mails to fill with as asked for, not %d", len(fillMails(n)))
	}
}

func TestHeaderOf(t *testing.T) {
	for in, want := range map[string]string{
		"A: b\r\n\r\nbody\r\n\r\n": "A: b\r\n\r\n",
		"A: b\r\n\r\n":             "A: b\r\n\r\n",
		"A: b\r\n":                 "A: b\r\n",
		"":                         "",
	} {
		if got := headerOf([]byte(in)); string(got) != want {
			t.Errorf("the header of %q must be %q, is %q", in, want, got)
		}
	}
}

func survey(mails [][]byte) []surveyed {
	var s []surveyed
	for i, m := range mails {
		s = append(s, surveyed{uint32(10 + i), uint32(len(m))})
	}
	return s
}

func TestCheckerKnowsTheEmbeddedServersMail(t *testing.T) {
	mails := embeddedMails(40)
	c := newChecker(mails)
	a := &account{}
	if problem := c.adopt(a, survey(mails), len(mails)); problem != "" {
		t.Fatal(problem)
	}
	for at, mail := range mails {
		if ours, problem := c.compare(a, at, verbBody, mail); !ours || problem != "" {
			t.Errorf("mail %d is right: %s", at, problem)
		}
		if ours, problem := c.compare(a, at, verbHeaders, headerOf(mail)); !ours || problem != "" {
			t.Errorf("the header of mail %d is right: %s", at, problem)
		}
		wrong := bytes.Clone(mail)
		wrong[len(wrong)/2] ^= 0x20
		if _, problem := c.compare(a, at, verbBody, wrong); !strings.Contains(problem, fmt.Sprintf("difference is at %d", len(wrong)/2)) {
			t.Errorf("one wrong byte in mail %d must be noticed, and where: %q", at, problem)
		}
		if _, problem := c.compare(a, at, verbBody, mail[:len(mail)-1]); problem == "" {
			t.Errorf("a missing byte of mail %d must be noticed", at)
		}
	}
}

func TestCheckerAdoptsWhatIsRight(t *testing.T) {
	mails := embeddedMails(3)
	for _, test := range []struct {
		name   string
		change func([]surveyed) []surveyed
		want   string
	}{
		{"less than asked for", func(s []surveyed) []surveyed { return s[:2] }, "2 of 3 messages listed"},
		{"more", func(s []surveyed) []surveyed { return append(s, surveyed{99, 1}) }, "4 of 3 messages listed"},
		{"size", func(s []surveyed) []surveyed { s[1].size++; return s }, "UID 11 has the size"},
		{"order", func(s []surveyed) []surveyed { s[1].uid = 12; s[2].uid = 11; return s }, "UID 11 out of order"},
		{"twice", func(s []surveyed) []surveyed { s[1].uid = 10; return s }, "UID 10 out of order"},
		{"no UID", func(s []surveyed) []surveyed { s[0].uid = 0; return s }, "UID 0 out of order"},
	} {
		c, a := newChecker(mails), &account{}
		if problem := c.adopt(a, test.change(survey(mails)), 3); !strings.Contains(problem, test.want) || a.known() {
			t.Errorf("%s: the problem must be %q, is %q", test.name, test.want, problem)
		}
	}
	c := newChecker(nil)
	if problem := c.adopt(&account{}, []surveyed{{1, largestBody + 1}}, 1); problem == "" {
		t.Errorf("a mailbox with nothing small enough must be refused")
	}
}

func TestAccountsThatAreAlikeShareTheirUIDs(t *testing.T) {
	mails := embeddedMails(5)
	c := newChecker(mails)
	var a, b account
	_, _ = c.adopt(&a, survey(mails), 5), c.adopt(&b, survey(mails), 5)
	if &a.uids[0] != &b.uids[0] {
		t.Errorf("two accounts with the same UIDs must share the list")
	}
}

func TestCheckerOfARealServer(t *testing.T) {
	c := newChecker(nil)
	foreign := []byte("Subject: not ours\r\n\r\nHello\r\n")
	special, ordinary := mailgen.Messages(18)[17].Data, mailgen.Ordinary(40).Data
	large := append(mailgen.Ordinary(41).Data, make([]byte, largestBody)...)
	mails := [][]byte{foreign, special, large, ordinary}
	a := &account{}
	if problem := c.adopt(a, survey(mails), len(mails)); problem != "" {
		t.Fatal(problem)
	}
	if want := []uint16{0, 1, 3}; !slices.Equal(a.bodies, want) {
		t.Errorf("the large message must be left out of body fetches: %v", a.bodies)
	}
	for round := range 2 {
		for at, mail := range mails {
			wantOurs := at == 1 || at == 3 // of the large one nobody looks at more than size and first coming
			if ours, problem := c.compare(a, at, verbHeaders, headerOf(mail)); ours != wantOurs || problem != "" {
				t.Errorf("round %d: the header of message %d is right, ours %v: %v %s", round, at, wantOurs, ours, problem)
			}
			if at == 2 {
				continue
			}
			if ours, problem := c.compare(a, at, verbBody, mail); ours != wantOurs || problem != "" {
				t.Errorf("round %d: message %d is right, ours %v: %v %s", round, at, wantOurs, ours, problem)
			}
		}
	}
	changed := bytes.Clone(foreign)
	changed[3] ^= 1
	if _, problem := c.compare(a, 0, verbBody, changed); !strings.Contains(problem, "first time") {
		t.Errorf("mail that changes must be noticed: %q", problem)
	}
	if _, problem := c.compare(a, 0, verbBody, foreign[1:]); !strings.Contains(problem, "RFC822.SIZE") {
		t.Errorf("mail of another size than announced must be noticed: %q", problem)
	}
	fresh := &account{}
	_ = c.adopt(fresh, survey(mails), len(mails))
	changed = bytes.Clone(ordinary)
	changed[len(changed)-5] ^= 1
	if ours, problem := c.compare(fresh, 3, verbBody, changed); !ours || problem == "" {
		t.Errorf("generated mail must be compared byte by byte when it comes first: %v %q", ours, problem)
	}
	if ours, problem := c.compare(fresh, 3, verbBody, ordinary); !ours || problem != "" {
		t.Errorf("wrong mail must not be remembered as right: %v %q", ours, problem)
	}
}

func TestGeneratedNumber(t *testing.T) {
	for header, want := range map[string]int{
		"A: b\r\nMessage-ID: <12@imclient.test>\r\n":         12,
		"A: b\r\nMessage-ID: <0@imclient.test>\r\n":          0,
		"A: b\r\nMessage-ID: <-1@imclient.test>\r\n":         0,
		"A: b\r\nMessage-ID: <1234567890@imclient.test>\r\n": 0,
		"A: b\r\nMessage-ID: <x@imclient.test>\r\n":          0,
		"A: b\r\nMessage-ID: <12@example.org>\r\n":           0,
		"A: b\r\n": 0,
	} {
		if got, ok := generatedNumber([]byte(header)); ok != (want > 0) || ok && got != want {
			t.Errorf("the number in %q must be %d, is %d, %v", header, want, got, ok)
		}
	}
}

// TestOwnPosition: members of an account must not meet, and have positions.
func TestOwnPosition(t *testing.T) {
	for _, size := range []int{2, 3, 5, 64} {
		for _, members := range []int{1, 2, 3} {
			a := &account{members: members, uids: make([]uint32, size)}
			if members > size {
				if a.private() {
					t.Errorf("%d members cannot share %d messages", members, size)
				}
				continue
			}
			for member := range members {
				for at := range size {
					got := a.ownPosition(member, at)
					if got < 0 || got >= size || got%members != member {
						t.Errorf("position %d of member %d of %d in %d messages must be its own, is %d", at, member, members, size, got)
					}
				}
			}
		}
	}
}

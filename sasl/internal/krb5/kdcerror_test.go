package krb5

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refusing makes the KDC refuse requests of a type.
func (k *testKDC) refusing(kind int, code int32, padata ...paData) {
	k.setScript(func(q *question, honest []byte) verdict {
		if q.kind == kind {
			honest = k.refuse(code, q, derPAData(padata...))
		}
		return honestly(honest)
	})
}

func TestRefusals(t *testing.T) {
	const password = "the password that the program gives"
	for name, tc := range map[string]struct {
		from byte
		code int32
		with []paData
		kind Kind
		what string
		look string
	}{
		"password expired":   {msgASReq, codeKeyExpired, nil, Expired, "the password of alice@HOME.TEST has expired", password},
		"locked":             {msgASReq, codeClientRevoked, nil, Refused, "has locked alice@HOME.TEST", password},
		"wrong password":     {msgASReq, codePreauthFailed, nil, WrongPassword, "of alice@HOME.TEST is wrong", password},
		"no krbtgt":          {msgASReq, codeServiceUnknown, nil, UnknownService, "does not know the service krbtgt/HOME.TEST@HOME.TEST", "kdc in [realms] HOME.TEST in "},
		"no proof at all":    {msgASReq, codePreauthRequired, nil, Refused, "as alice@HOME.TEST's proof, and names nothing that it does take", "getprinc"},
		"other proofs":       {msgASReq, codePreauthRequired, []paData{{16, nil}, {138, nil}}, Refused, "proof, but only PKINIT, an encrypted challenge (FAST), which cannot be done here", "kdc.conf"},
		"user to user":       {msgTGSReq, codeUserToUser, nil, UnknownService, "gives nobody a ticket for imap/mail.test@HOME.TEST as a service", "[domain_realm] in "},
		"unknown service":    {msgTGSReq, codeServiceUnknown, nil, UnknownService, "does not know the service imap/mail.test@HOME.TEST", "[domain_realm] in "},
		"TGT ended":          {msgTGSReq, codeExpired, nil, Expired, "has ended", password},
		"TGT not begun":      {msgTGSReq, codeNotYet, nil, ClockSkew, "has not begun", "the clock of this machine; " + password},
		"TGT of another key": {msgTGSReq, codeIntegrity, nil, Refused, "cannot read the ticket of alice@HOME.TEST", password},
		"policy":             {msgTGSReq, codePolicy, nil, Refused, "by its policy", password},
		"another":            {msgTGSReq, 60, nil, Refused, "error 60", password},
	} {
		k := newKDC(t)
		o := byPassword(k.conf("", mailInHome, "tcp/"+k.addr))
		k.refusing(int(tc.from), tc.code, tc.with...)
		_, err := New(o).Ticket(context.Background(), "imap", "mail.test")
		var e *Error
		if !errors.As(err, &e) || e.Kind != tc.kind || e.Code != tc.code || !strings.Contains(e.What, tc.what) || !strings.Contains(e.Look, tc.look) {
			t.Errorf("%s is said to be %v: %s; see %s\n got: %v", name, tc.kind, tc.what, tc.look, err)
		}
	}
}

// A ticket that is refused is said to be of the file that it came from, also by way of
// another realm's.
func TestRefusedTicketNamesItsFile(t *testing.T) {
	k := newKDC(t)
	k.realms("FAR.TEST")
	conf := k.conf("", farInFar, "tcp/"+k.addr)
	k.setScript(func(q *question, honest []byte) verdict {
		if q.server.Realm == "FAR.TEST" {
			honest = k.refuse(codePolicy, q, nil)
		}
		return honestly(honest)
	})
	ccache := filepath.Join(t.TempDir(), "ccache")
	tgt := k.tgt("alice@"+testRealm, time.Now(), time.Hour, 0)
	writeCCache(t, ccache, 0, tgt.Client, tgt)
	byCache := Options{Config: conf, Getenv: func(name string) string {
		return map[string]string{"KRB5CCNAME": "FILE:" + ccache}[name]
	}}
	byKey := byKeytab(t, k, conf)
	for look, o := range map[string]Options{
		ccache + " (KRB5CCNAME)":              byCache,
		byKey.Keytab + " (" + byProgram + ")": byKey,
	} {
		_, err := New(o).Ticket(context.Background(), "imap", "far.test")
		var e *Error
		if !errors.As(err, &e) || e.Code != codePolicy || !strings.HasSuffix(e.Look, look) {
			t.Errorf("what is refused comes from %s\n got: %v", look, err)
		}
	}
}

package krb5

import (
	"context"
	"testing"
)

// FuzzKDCReply gives what a KDC may send to each that reads it: nothing may panic, or be
// taken that is not an answer.
func FuzzKDCReply(f *testing.F) {
	as, asRep := asFixture(f)
	tgs, tgsRep := tgsFixture(f)
	k := newKDC(f)
	no := k.refuse(codePreauthRequired, &question{server: TGS(testRealm, testRealm)}, derPAData(
		paData{paEncTimestamp, nil}, paData{paETypeInfo2, k.etypeInfo(as.client, k.keys[as.client.String()][0])}, paData{paFXCookie, []byte("c")}))
	rep, clear, err := parseRep(asRep, msgASRep)
	if err != nil {
		f.Fatal(err)
	}
	key := must(as.secret.keys(context.Background(), s2k{etype: aes256SHA1}, 0))[0]
	inside := must(decrypt(key, usageASRep, rep.Enc.Cipher))
	for _, seed := range [][]byte{asRep, tgsRep, no, inside, must(parseError(no)).Data} {
		f.Add(seed)
	}
	as.sent, tgs.sent = func(int) {}, func(int) {}
	f.Fuzz(func(t *testing.T, b []byte) {
		as.ticket = nil
		if _, err := as.judge(context.Background(), endpoint{"tcp", "kdc:88"}, b); err == nil && !as.ticket.Client.Equal(as.client) {
			t.Error("a ticket of somebody else")
		}
		if _, err := tgs.judge(b); err == nil && !tgs.ticket.Client.Equal(as.client) {
			t.Error("a ticket of somebody else")
		}
		// And as what only a KDC can write, or what hides in a KRB-ERROR.
		if enc, err := parseEncRep(b); err == nil {
			as.ticket = nil
			if _, err := as.accept(endpoint{}, rep, clear, enc); err == nil && (!as.ticket.Server.Equal(as.req.server) || as.ticket.Key.KeyType != aes256SHA1) {
				t.Error("a ticket for something else")
			}
		}
		if list, err := parsePAData(b); err == nil {
			if h, err := readHint(list, as.ours, as.client); err == nil && h.found && h.how.etype != aes256SHA1 {
				t.Error("a key of a type that was not asked for")
			}
		}
		if !isError(b) {
			return
		}
		kerr, err := parseError(b)
		if err != nil {
			return
		}
		from := &refusal{*kerr, endpoint{"udp", "kdc:88"}}
		x := *as
		x.proving, x.realms = false, nil
		if again, err := x.prove(from); again == (err != nil) {
			t.Error("neither an error nor a next request, or both")
		}
		x = *as
		if again, err := x.refer(from); again == (err != nil) {
			t.Error("neither an error nor a next request, or both")
		}
		if e := as.explain(from, query{realm: testRealm, client: as.client, server: as.req.server, secret: "a keytab"}); e.What == "" || e.Kind == 0 {
			t.Error("an error that says nothing")
		}
	})
}

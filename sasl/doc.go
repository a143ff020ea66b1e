// Package sasl logs in (RFC 4422): by a password, a token, a ticket, or what has been
// proved below. It knows bytes, and never touches the server's socket. What would take
// long (a provider of credentials, PBKDF2, a ticket from a file or a KDC) it hands out
// as a function, for whoever drives it to run elsewhere.
//
//	Mechanism --New(Params)--> Exchange --Start--> Step
//	                              ^                  |
//	                              +---Next(challenge)+   until the server's OK,
//	                                                     then Satisfied?
//
// A [Mechanism] is a factory and can be used for any number of logins at the same
// time. An [Exchange] is one login. [Choose] puts mechanisms in the order in which
// they are to be tried, and knows which may follow one that failed.
//
// What it does not do: base64, the "*" that gives up, and all else that depends on
// the protocol (that is conn's); the server's side.
//
//	plain.go        PLAIN          RFC 4616
//	login.go        LOGIN          draft-murchison-sasl-login
//	anonymous.go    ANONYMOUS      RFC 4505
//	external.go     EXTERNAL       RFC 4422 appendix A
//	oauthbearer.go  OAUTHBEARER    RFC 7628
//	xoauth2.go      XOAUTH2        Google's documentation
//	crammd5.go      CRAM-MD5       RFC 2195
//	digest*.go      DIGEST-MD5     RFC 2831, with its security layers
//	gssapi*.go      GSSAPI         RFC 4752, with the layers of RFC 4121 and RFC 4757
//	kerb*.go        where its tickets come from, and why there are none
//	internal/gss    tokens of Kerberos
//	internal/krb5   tickets: files, KDCs, and what is kept
//	packet.go       what security layers that send packets have in common
//	scram*.go       SCRAM          RFC 5802, 7677, 9266, draft-melnikov-scram-sha-512
//	prep.go         SASLprep       RFC 4013
//	gosasl.go       any client of github.com/emersion/go-sasl
//
// # Who proves what
//
// After SCRAM and DIGEST-MD5 the server has proved that it knows the password, after
// GSSAPI that it has the service's key; after a -PLUS form also that nobody sits
// between, whatever the certificates say. The others prove nothing of it, so they are
// worth what the TLS below is worth. An OK before [Exchange.Satisfied] is
// [ErrPrematureOK].
//
// # Secrets
//
// Secrets are []byte and overwritten after use. What Go copies by itself is not:
// crypto/pbkdf2 and SASLprep of what is not US-ASCII want strings. No error, and no
// verb of package fmt on anything of this package, shows one; nor do errors quote a
// challenge, in which a server may send back what it was sent.
//
// # Limits
//
// All of a server's numbers are checked before anything is made of them: iteration
// counts (4,096 to 1,000,000, see [SCRAMOptions]), nonces and salts (1 KiB), messages of
// SCRAM (8 KiB) and of DIGEST-MD5 (2 KiB), a KDC's replies (1 MiB), packets of a layer
// (Params.MaxReceive, 64 KiB at most). Names and passwords that are prepared have 4 KiB
// at most. Of what a server says 200 bytes stand in an error, quoted.
package sasl

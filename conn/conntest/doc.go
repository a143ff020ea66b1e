// Package conntest is a scripted server for tests of programs that use package
// conn. There is no network, no goroutine and no real time in it: the test, the
// server and the client take turns on one goroutine, over a socketpair, and the
// client's [Clock] is moved by hand, so that a test does the same thing every time.
//
//	func TestNoop(t *testing.T) {
//		c, s := conntest.New(t, &conn.Dialer{})
//		err := c.Send(done, nil, "NOOP")
//		...
//		s.Play(`
//			S: * OK ready
//			C: a1 NOOP
//			S: * 3 EXISTS
//			S: a1 OK done
//		`)
//	}
//
// [Server.Play] lists what a script can say. [Server.Join] puts the client in a
// loop, for programs that live in one.
//
// The server speaks TLS where the script says so, with a certificate that the client
// trusts. See [Server.StartTLS], and [Policy], [TLSConfig] and [Certificate] for other
// ones. Somebody on the way, who adds or takes away bytes, is in the script, too.
//
// What a server sends arrives cut in ways that no test can foresee. [EveryCut]
// runs a test with the server's bytes whole, one by one, and cut in two at each
// place.
package conntest

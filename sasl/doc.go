// Package sasl has the shape of authentication (RFC 4422): what a mechanism
// is, what one login with it is, and what protection of the connection may
// come of it. It knows bytes; it never touches a socket, reads a clock or
// waits.
//
//	Mechanism --New(Params)--> Exchange --Start--> Step
//	                              ^                  |
//	                              +---Next(challenge)+   until the server's OK,
//	                                                     then Satisfied?
//
// A [Mechanism] is a factory and can be used for any number of logins at the
// same time. An [Exchange] is one login.
package sasl

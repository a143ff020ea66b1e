// Package gss is the initiator's half of the Kerberos V5 mechanism of the GSS-API
// (RFC 4121, and RFC 4757 for rc4-hmac): the tokens that establish a context, and
// those that wrap its messages. It is given a ticket and knows bytes only, neither a
// socket nor a file nor a clock of its own.
package gss

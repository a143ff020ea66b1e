// Package wire knows the bytes of IMAP, IMSP and ACAP: it cuts what a server sends
// into replies, walks their text, and formats commands.
package wire

// Package floor is what a client of ours could cost at the least: a bare epoll
// loop that writes the same commands, reads what comes, and counts bytes until
// those of the replies are complete. It parses nothing, so it works only with
// a server whose every answer has a known length, and it has no commands, no
// callbacks, no errors but the kernel's.
//
// It makes the system calls that nobody can do without: one wait for all that
// is ready, one read and one write a batch.
package floor

// Package bench measures what the library costs: the CPU time of the client
// for a command or a login, the memory of a connection that waits, and how long
// many connections at once keep everybody else in a loop waiting.
//
// # What takes part
//
// A server (package server) that answers from prepared bytes, and checks nothing but
// the proofs of those who log in by AUTHENTICATE; and fleets of connections to it, each
// driven by another client:
//
//	ours    this library: one reactor.Loop, callbacks, one goroutine
//	floor   a bare epoll loop that writes and counts bytes: what nobody can go below
//	goimap  emersion/go-imap v2, two goroutines a connection (up to 100 connections,
//	        1,000 for memory); for logins with the mechanisms of emersion/go-sasl
//
// behind a login by GSSAPI, with a ticket that the server has made for itself:
//
//	nolayer    this library, without a security layer
//	integrity  with the layer that signs, by aes256-cts-hmac-sha1-96
//	privacy    with the one that encrypts, too
//
// and in TLS, with a server of its own kind, which has a goroutine for each
// connection:
//
//	tls       this library, with implicit TLS
//	tlsfloor  bare crypto/tls over the connections of package net, a goroutine a
//	        connection, which counts bytes
//
// Every fleet is a process, and has a server to itself, which is a process too:
// the test binary runs itself again. So the CPU time of a fleet, getrusage(2),
// is the client's and nobody else's, though it includes what the kernel does
// within the client's system calls: on the loopback interface that is most of
// the work of TCP.
//
// # What happens
//
// All connections work at the same time. Each sends a batch of commands at
// once, as many as the depth says, and the next when the last of them has
// completed; at depth 1 there is always one command on its way. That is the
// same for all sides, as are the bytes, but for the tags. When the sides take
// turns, ten rounds for each iteration of a benchmark, only one of them and its
// server have anything to do. A side that did not complete what it was told to,
// by its own count of tagged OKs and literal octets or by the server's count of
// commands, fails the benchmark. Nothing fails for being slow. Where each side has
// one connection only, all get new processes after every two rounds.
//
// # The race of loops
//
// Below the client is the loop, and it has a race of its own, without a network
// (package loops): each side watches eventfds in a process of its own, and calls a
// function for each that is ready.
//
//	loop        a reactor.Loop
//	nested      the same, inside another reactor.Loop
//	bare        epoll_wait and a call for each event: the floor
//	barenested  the same with its epoll inside another: the floor of nesting
//	libuv       uv_poll_t, in C, where a compiler and libuv1-dev are installed
//
// # Logins
//
// In place of commands, 16 connections at a time are made, each beside one that
// stands; they log in by AUTHENTICATE and are closed. All are of one account, so that
// SCRAM's keys are derived once, before the first round: it is what connecting again
// costs. Most of it is the system calls that make and close a connection; what a
// mechanism's exchange takes without any is in the benchmarks of package sasl. By GSSAPI
// the ticket is in a credential cache that was read already, and behind a login with a
// layer the client asks for the capabilities again, which is in its figures.
//
// # The storms
//
// In a process of its own (package storm) 2,000 connections begin TLS at the same
// moment in one loop, which has a timer every millisecond and another connection that
// sends one NOOP after the other. How late the timer is, and how long a NOOP takes, is
// what the storm costs everybody else. The server computes as much as we do, on the
// same machine, and anything else that runs there is in the figures, too.
//
// In a storm of logins 1,000 connections that have greeted log in by SCRAM-SHA-256 at
// the same moment, without keys of earlier logins. They are of one account, whose keys
// are derived once, or of as many as the name says, each of which costs its iterations
// anew, on other goroutines. The server derives once for all accounts, and before the
// storm: they have the same password and salt, of which no client can know. Or they log
// in by GSSAPI, all with one ticket, and agree on privacy.
//
// # What the numbers mean
//
//	ours-ns/cmd, floor-ns/cmd, goimap-ns/cmd
//		user and system CPU time of the fleet's process for a command, the
//		median of the rounds
//	ratio
//		ours-ns/cmd over floor-ns/cmd in the same round, the median of the
//		rounds: it moves less than the two when the machine is not quiet
//	ours-syscalls/cmd, floor-syscalls/cmd
//		reads and writes that moved bytes, and waits
//	allocs/cmd
//		heap objects that our process allocated for a command. Starting and
//		stopping a round takes some ten, so it is never quite 0
//	ours-B/conn, ...
//		heap and stacks for an idle connection, after garbage collection, over
//		those before the first; the side's own table of connections is included
//	ours-goroutines/conn, ...
//		goroutines for an idle connection
//	ours-10000/100, floor-10000/100
//		ns/cmd at 10,000 connections over that at 100, in the same round
//	ours-handshakes/cpu-s, ours-MB/cpu-s, ...
//		connections made, or megabytes of literals fetched, in a second of the
//		fleet's CPU time; their ratio is ours over the floor's
//	ours-ns/login, goimap-ns/login, ours/goimap
//		CPU time of the fleet's process from connect(2) to close(2), and the
//		ratio of the two in the same round
//	ours-allocs/login, goimap-allocs/login
//		heap objects that the process allocated for it
//	begin-ms
//		how long the calls took that began a storm, all in one turn. It is not in
//		the lag: how many an application begins in a turn is its own affair
//	lag-p99-ms, lag-max-ms, own-p99-ms, own-max-ms
//		how late the loop was for a millisecond of the storm, and how much of that
//		our process computed, on whatever goroutine: the rest is others' doing
//	noop-p99-ms, noop-max-ms
//		from Send to completion, on the connection that stood before the storm. One
//		NOOP comes after the other, so a long stall is one of them: see the maximum
//	logins/s, handshakes/s, cpu-us/conn
//		connections by the time from the last of those calls to the last connection
//		that was done, and CPU time of the process, with those calls, for each
//	loop-ns/event, ..., loop/bare, nested/loop, ...
//		CPU time of a side's process for an event, the write and the read of the
//		eventfd included, and ratios of them in the same round
//
// # How to run
//
// A process has up to 19,000 descriptors, so `ulimit -n` must be 20,000. The smoke
// run does everything once, in short rounds, in a few minutes; the second is the one
// whose figures may be quoted:
//
//	go test ./bench -run '^$' -bench . -benchtime 1x
//	go test ./bench -run '^$' -bench . -benchtime 3x -effort 8 -table -timeout 1h
//
// -effort multiplies the commands of a round, -benchtime 3x makes thirty rounds
// of the ten, and -table adds the table of the README. To compare two versions:
//
//	go test ./bench -run '^$' -bench 'Noop|Fetch' -benchtime 1x -effort 4 -count 10 >old.txt
//	... >new.txt
//	benchstat old.txt new.txt
//
// and to compare depths, say, benchstat -col /depth new.txt. To see where the
// time or the memory goes, -fleetprofile DIR writes profiles from within the
// fleets' processes; the figures of such a run include the profiler.
package bench

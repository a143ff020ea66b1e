// Package reactor drives many descriptors, timers and posted functions from one
// goroutine: an event loop that can stand alone or inside any other.
//
// It does not start goroutines, read or write descriptors, or know what they are
// for. It calls a [Source] when its descriptor is ready, and the source does the rest:
// a connection, a listener, a pipe, a timerfd, a child's output, another loop. [FD]
// makes a source of a descriptor and a function.
//
// A [Loop] is made by [New] and driven by [Loop.Run] or, inside something else, by
// [Loop.TryProcessOneEvent]. It stands on epoll(7), kqueue(2) or poll(2).
//
// # One turn
//
// A loop goes round in turns. Whichever of [Loop.Run], [Loop.ProcessOneEvent] and
// [Loop.TryProcessOneEvent] drives it, a turn is this:
//
//  1. Ask: sources that said that they changed, and those that cannot say so, are asked
//     what they want.
//  2. Tell: what differs from what the kernel has is written to it.
//  3. Wait: not at all if work was left, else until a descriptor is ready, the
//     earliest deadline has come, or somebody posts.
//  4. Clock: [Loop.Now] is read. It is the same for the rest of the turn.
//  5. Posts: functions that were posted before the wait ended are called, in order.
//  6. Deadlines: timers, and sources whose NextDeadline has come, are called in order;
//     equal ones in the order in which they were set, behind them those of sources
//     that had moved later. What is set now, even for now, waits for the next turn.
//  7. Events: sources whose descriptors are ready are called, as the kernel reported
//     them, 256 at most. An event of a source that has been removed meanwhile is dropped.
//  8. Leftovers: sources that still hold work (their NextDeadline has come), or that
//     newly want to write, are called once each.
//  9. Spread: functions that were given to [Loop.Spread] before the wait began are
//     called, in order, 4 at most (see [Loop.SpreadLimit]). The others wait for the
//     next turn, in which everybody above goes first.
//
// Each call in 5 to 9 is one event. A source is therefore called a few times in a
// turn at most, whatever comes in for it, and everybody else gets a turn.
//
// A socket that newly wants to write is called in 8 before the kernel is asked to
// watch for that, because most of the time it can be written at once. Only when it
// has said that it could not (TryProcessOneEvent is false) does 2 ask the kernel.
// A [Descriptor] is not called like that: it hears of what the kernel said only.
//
// A turn costs what is ready in it, not what is in the loop, provided that sources
// are Notifiers. In the steady state nothing is allocated.
//
// # One goroutine
//
// All callbacks run on the goroutine that drives the loop, and so must all calls of
// the loop's methods and of its timers', but for [Loop.Post] and [Loop.Stats], which
// are safe anywhere. Slow work goes to another goroutine and comes back by Post. Work
// that is slow only if many have some at once, like a handshake, goes to [Loop.Spread].
// While nobody drives a loop it can be handed from one goroutine to another. Programs
// built with -race panic where another goroutine calls while the loop is driven.
//
// In a callback everything is legal but to drive the same loop: that is
// [ErrReentrant]. A callback may add and remove sources, its own included, Close the
// loop, and drive another one; a source that wants to know its loop for that is a
// [Member]. A callback that panics, or a source that does when it is asked, does so
// through the call that drives the loop; who recovers finds the loop as if it had
// returned.
//
// What each call does where:
//
//	                         before it is  in a          on another   after
//	                         driven        callback      goroutine    Close
//	Loop.Add                 yes           yes           no           ErrClosed
//	Loop.After               yes           yes           no           stopped
//	Loop.Close               yes           yes           no           nothing
//	Loop.GetSelectInfo       yes           yes           no           -1
//	Loop.NextDeadline        yes           yes           no           false
//	Loop.Now                 yes           yes           no           yes
//	Loop.OnSlow              yes           yes           no           nothing
//	Loop.Post                yes           yes           yes          false
//	Loop.ProcessOneEvent     yes           ErrReentrant  no           ErrClosed
//	Loop.Remove              yes           yes           no           ErrClosed
//	Loop.Run                 yes           ErrReentrant  no           ErrClosed
//	Loop.SetNotify           yes           yes           no           nothing
//	Loop.Spread              yes           yes           no           nothing
//	Loop.SpreadLimit         yes           yes           no           yes
//	Loop.Stats               yes           yes           yes          yes
//	Loop.TryProcessOneEvent  yes           ErrReentrant  no           ErrClosed
//	Timer.Reset              yes           yes           no           false
//	Timer.Stop               yes           yes           no           false
//	Descriptor.Want          yes           yes           no           yes
//
// On another goroutine means while the loop is driven. "stopped" is a timer that does
// not fire. The other methods of a Descriptor are the loop's to call.
//
// # Inside another loop
//
// A loop has one descriptor, [Loop.GetSelectInfo] (but see [NewPoll]). A host's
// select(2), poll(2) or epoll(7), level- or edge-triggered, watches it for reading,
// and calls TryProcessOneEvent when it is readable: once, or, if edge-triggered, until
// it says false. Nothing else is needed: the descriptor is readable also for a
// deadline that has come, for a post, and while work is left or spread. A host that
// sleeps on it misses nothing, and is not woken for nothing more than once for each of
// these. There is an example for each kind of host, and one for a loop on a goroutine
// of its own.
//
// A Loop is also a [Source], a [Deadliner] and a [Notifier], so that it can be added
// to another Loop, which has it do a whole turn at a call. A [*SourceError] about a
// source of the inner loop comes out of the call that drives the outer one, and both
// loops go on. An error of the inner loop's own poller removes it from the outer one,
// and comes out there as a *SourceError about the inner loop. Driven from a callback of
// the inner loop, the outer one leaves that alone. The inner loop may be taken out, driven by somebody else, and put back at any time, and closed in any
// callback, its own and those of the outer loop included.
//
// Between calls of the host, sources change as they do in callbacks: a Notifier
// says so. One that is not a Notifier is not heard before the next turn.
//
// # Sources that the kernel cannot help with
//
// Readiness is level-triggered, and a hint: TryProcessOneEvent may find nothing, and
// says false. One that says false for ever while its descriptor is ready, or its
// deadline has passed, makes the loop spin; an [Interester] that wants neither to
// read nor to write does not, even if the other side hangs up.
//
// Two sources cannot share a descriptor; dup(2) makes another. A source that
// exchanges its descriptor opens the new one, says so, and then closes the old one.
//
// # What goes on in it
//
// [Loop.Stats] counts turns, events and errors, and tells how late timers and posts
// ran, how much is spread, and how much of its time the loop was busy. [Loop.OnSlow]
// names the callbacks that held everybody else up.
package reactor

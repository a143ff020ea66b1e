// Package reactor drives many descriptors, timers and posted functions from one
// goroutine: an event loop that can stand alone or inside any other.
//
// It does not start goroutines, read or write descriptors, or know what they are
// for. It calls a [Source] when its descriptor is ready, and the source does the rest.
//
// # One turn
//
// A loop goes round in turns. Whichever of [Loop.Run], [Loop.ProcessOneEvent] and
// [Loop.TryProcessOneEvent] drives it, a turn is this:
//
//  1. Sources that said that they changed, and those that cannot say so, are asked
//     what they want. What differs from what the kernel has is written to it.
//  2. Wait: not at all if work was left, else until a descriptor is ready, the
//     earliest deadline has come, or somebody posts. [Loop.Now] is read.
//  3. Functions that were posted before the wait ended are called, in order.
//  4. Timers and deadlines of sources that have come, in order; equal ones in the
//     order in which they were set. What is set now, even for now, waits for the next turn.
//  5. Sources whose descriptors are ready are called, as the kernel reported them,
//     256 at most. An event of a source that has been removed meanwhile is dropped.
//  6. Sources that still hold work (their NextDeadline has come), or that newly want
//     to write, are called once each.
//
// Each call in 3 to 6 is one event. A source is therefore called a few times in a
// turn at most, whatever comes in for it, and everybody else gets a turn.
//
// A socket that newly wants to write is called in 6 before the kernel is asked to
// watch for that, because most of the time it can be written at once. Only when it
// has said that it could not (TryProcessOneEvent is false) does 1 ask the kernel.
//
// A turn costs what is ready in it, not what is in the loop, provided that sources
// are Notifiers. In the steady state nothing is allocated.
//
// # One goroutine
//
// All callbacks run on the goroutine that drives the loop, and so must all calls of
// the loop's methods and of its timers', but for [Loop.Post] and [Loop.Stats], which
// are safe anywhere. Slow work goes to another goroutine and comes back by Post.
//
// In a callback everything is legal but to drive the same loop: that is
// [ErrReentrant]. A callback may add and remove sources, its own included, and Close
// the loop. A callback that panics does so through the call that drives the loop;
// who recovers finds the loop as if the callback had returned.
//
// # Inside another loop
//
// A loop has one descriptor, [Loop.GetSelectInfo]. A host's select(2), poll(2) or
// epoll(7), level- or edge-triggered, watches it for reading, and calls
// TryProcessOneEvent when it is readable: once, or, if edge-triggered, until it says
// false. Nothing else is needed: the descriptor is readable also for a deadline that
// has come, for a post, and while work is left. A host that sleeps on it misses
// nothing, and is not woken for nothing more than once for each of these.
//
// A Loop is also a [Source], a [Deadliner] and a [Notifier], so that it can be added
// to another Loop, which has it do a whole turn at a call. A [*SourceError] about a
// source of the inner loop comes out of the call that drives the outer one, and both
// loops go on. An error of the inner loop's own poller removes it from the outer one,
// and comes out there as a *SourceError about the inner loop.
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
package reactor

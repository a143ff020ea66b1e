package main

import (
	"runtime"
	"time"

	"github.com/imclient/imclient/reactor"
)

// pulse is the timer behind the status line, with what it needs to tell the
// latest rates from the totals.
type pulse struct {
	timer    *reactor.Timer
	interval time.Duration
	marks    [5]mark // the last ones; the rate is taken over all of them
	next     int
}

// mark is how far things were.
type mark struct {
	at         time.Time
	commands   int64
	bytesIn    uint64
	handshakes int64
}

func (f *fleet) startPulse() {
	f.pulse.interval = f.console.interval()
	for i := range f.pulse.marks {
		f.pulse.marks[i].at = f.usage.began
	}
	f.pulse.timer = f.loop.After(f.pulse.interval, f.beat)
}

// beat shows how things are, and looks after those who IDLE too long.
func (f *fleet) beat() {
	f.pulse.timer.Reset(f.pulse.interval)
	for i := range f.sessions {
		f.sessions[i].overslept()
	}
	f.usage.goroutinesPeak = max(f.usage.goroutinesPeak, runtime.NumGoroutine())
	f.console.status(f.moment().String())
}

// moment takes the figures of a status line. On a terminal the rates are those
// of the last second, else of the last line.
func (f *fleet) moment() moment {
	in, _ := f.bytes()
	now := mark{time.Now(), f.meter.commands, in, f.handshakes.ended}
	oldest := &f.pulse.marks[f.pulse.next]
	if !f.console.terminal {
		oldest = &f.pulse.marks[0]
	}
	before := *oldest
	*oldest = now
	f.pulse.next = (f.pulse.next + 1) % len(f.pulse.marks)

	seconds := max(now.at.Sub(before.at).Seconds(), 1e-3)
	recent := f.meter.recent
	m := moment{
		elapsed: now.at.Sub(f.usage.began),
		up:      f.up, wanted: len(f.sessions),
		rate:        float64(now.commands-before.commands) / seconds,
		p50:         time.Duration(recent.ValueAtPercentile(50)),
		p99:         time.Duration(recent.ValueAtPercentile(99)),
		bytesInRate: float64(now.bytesIn-before.bytesIn) / seconds,
		errors:      f.meter.failures,
		stopping:    f.stopping,
	}
	if now.handshakes > before.handshakes || f.handshakes.underway > 0 {
		m.handshakes = now.handshakes
	}
	recent.Reset()
	return m
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// writeTable prints the report for people, in 79 columns.
func (r *report) writeTable(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.heading())
	if r.Commands > 0 {
		r.writeRows(&b)
	}
	for _, line := range r.summary() {
		fmt.Fprintf(&b, "%-14s %s\n", line[0], line[1])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// heading says what was done to whom.
func (r *report) heading() string {
	n := count(int64(r.Connections.Wanted))
	if in := r.Connections.Admitted; in < r.Connections.Wanted {
		n = count(int64(in)) + " of " + n
	}
	text := fmt.Sprintf("%s connections to %s\n%.1f s", n, r.Server, r.Seconds)
	if r.Connections.AllIn > 0 {
		text += fmt.Sprintf(", all in after %.2f s", r.Connections.AllIn)
	}
	if r.Interrupted {
		text += ", interrupted"
	}
	return text + "\n\n"
}

// writeRows writes a row for each verb.
func (r *report) writeRows(b *strings.Builder) {
	fmt.Fprintf(b, row, "verb", "commands", "rate/s", "p50", "p90", "p99", "p99.9", "max")
	for _, v := range r.Verbs {
		if !v.extra() {
			r.verbRow(b, v)
		}
	}
	fmt.Fprintf(b, "%-14s %11s %9s\n", "total", count(r.Commands), count(int64(r.Rate)))
	for _, v := range r.Verbs {
		if v.extra() {
			r.verbRow(b, v)
		}
	}
	b.WriteByte('\n')
}

const row = "%-14s %11s %9s %7s %7s %7s %7s %7s\n"

// extra reports whether v is no command: its row stands below the total.
func (v *verbReport) extra() bool {
	at := slices.Index(verbNames[:], v.Verb)
	return at >= 0 && !verb(at).isCommand()
}

func (r *report) verbRow(b *strings.Builder, v verbReport) {
	rate := "-"
	if r.Seconds > 0 {
		rate = count(int64(float64(v.Count)/r.Seconds + 0.5))
	}
	us := func(f float64) string { return latency(time.Duration(f * float64(time.Microsecond))) }
	fmt.Fprintf(b, row, v.Verb, count(v.Count), rate, us(v.P50), us(v.P90), us(v.P99), us(v.P999), us(v.Max))
}

// summary is what follows the rows: a word and what there is to say.
func (r *report) summary() [][2]string {
	var lines [][2]string
	add := func(word, format string, args ...any) {
		lines = append(lines, [2]string{word, fmt.Sprintf(format, args...)})
	}
	for i, l := range r.Logins {
		word := ""
		if i == 0 {
			word = "logins"
		}
		add(word, "%s x %s", count(l.Count), l.Kind)
	}
	if r.Commands > 0 {
		add("bytes", "in %s (%s), out %s (%s)", size(float64(r.BytesIn)), r.perSecond(r.BytesIn),
			size(float64(r.BytesOut)), r.perSecond(r.BytesOut))
		if c := r.Checked; c.Headers+c.Bodies > 0 {
			add("checked", "%s headers, %s bodies, %s", count(c.Headers), count(c.Bodies), size(float64(c.Bytes)))
			add("", "%s", c.by())
		}
		add("client CPU", "%.1f us a command (user %.1f, system %.1f), %.2f of a core",
			r.CPU.User+r.CPU.System, r.CPU.User, r.CPU.System, r.CPU.Cores)
	}
	if r.TLS != nil && r.TLS.Handshakes > 0 {
		word := "TLS"
		for _, text := range r.TLS.lines() {
			add(word, "%s", text)
			word = ""
		}
	}
	m := r.Memory
	if m.Connections >= memorySample {
		add("client memory", "%s a connection (heap %s, stacks %s)", size(m.Heap+m.Stacks), size(m.Heap), size(m.Stacks))
		add("", "%s of it is imload's bookkeeping; peak resident %s", size(m.Bookkeeping), size(float64(m.PeakResident)))
	}
	if m.Connections > 0 {
		add("goroutines", "%d with %s connections at work, peak %d",
			r.Goroutines.AtWork, count(int64(m.Connections)), r.Goroutines.Peak)
	}
	if len(r.Errors) == 0 {
		add("errors", "none")
	}
	for i, e := range r.Errors {
		word := ""
		if i == 0 {
			word = "errors"
		}
		add(word, "%s x %s", count(e.Count), e.Kind)
	}
	return lines
}

// lines tells what there is to say of TLS.
func (t *tlsReport) lines() []string {
	verified := "certificate verified"
	if !t.Verified {
		verified = "certificate NOT VERIFIED (-insecure)"
	}
	lines := []string{
		fmt.Sprintf("%s handshakes, %s resumed (%.1f %%)", count(t.Handshakes), count(t.Resumed), t.ResumedPercent),
		fmt.Sprintf("%s/s while any went on, computing %s each", count(int64(t.Rate+0.5)),
			latency(time.Duration(t.Computing*float64(time.Microsecond)))),
		verified,
	}
	for _, k := range t.Kinds {
		lines = append(lines, fmt.Sprintf("%s x %s", count(k.Count), k.Kind))
	}
	return lines
}

// by tells what the mail was compared with.
func (c *checkReport) by() string {
	switch all := c.Headers + c.Bodies; c.Generated {
	case all:
		return "all as generated, byte by byte"
	case 0:
		return "all as when first seen, of the size that the server says"
	default:
		return fmt.Sprintf("%d %% as generated, byte by byte, the rest as when first seen", 100*c.Generated/all)
	}
}

func (r *report) perSecond(bytes uint64) string {
	if r.Seconds <= 0 {
		return "-"
	}
	return size(float64(bytes)/r.Seconds) + "/s"
}

// count writes n with commas between thousands.
func count(n int64) string {
	if n < 0 {
		return "-" + count(-n)
	}
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// latency writes a duration in three digits: 850us, 12.3ms, 1.00s.
func latency(d time.Duration) string {
	return threeDigits(float64(d)/1e3, 1000, "us", "ms", "s")
}

// size writes a number of bytes in three digits: 512 B, 1.50 KiB, 300 MiB.
func size(bytes float64) string {
	return threeDigits(bytes, 1024, " B", " KiB", " MiB", " GiB", " TiB")
}

// threeDigits scales x to the unit that leaves three digits before the point at
// most (with a step of 1024 it can be four), and cuts what is below the third.
// The first unit has no fractions.
func threeDigits(x, step float64, units ...string) string {
	sign := ""
	if x < 0 {
		x, sign = -x, "-"
	}
	unit := 0
	// What would be rounded up to a step belongs to the next unit.
	for x >= step-0.5 && unit < len(units)-1 {
		x /= step
		unit++
	}
	decimals := 0
	if unit > 0 && x < 9.995 {
		decimals = 2
	} else if unit > 0 && x < 99.95 {
		decimals = 1
	}
	return fmt.Sprintf("%s%.*f%s", sign, decimals, x, units[unit])
}

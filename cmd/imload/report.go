package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// report is the result of a run, as -json prints it. Durations are microseconds.
type report struct {
	Commands    int64   `json:"commands"` // completed with OK; the first key, by contract
	Seconds     float64 `json:"seconds"`  // until the last of them
	Rate        float64 `json:"commands_per_second"`
	Server      string  `json:"server"`
	Interrupted bool    `json:"interrupted"`

	Connections connectionReport `json:"connections"`
	Verbs       []verbReport     `json:"verbs"` // by the names of -mix, and what they entail
	Checked     checkReport      `json:"checked"`
	Logins      []kindCount      `json:"logins,omitempty"` // by SASL, -auth: mechanism and layer
	BytesIn     uint64           `json:"bytes_in"`
	BytesOut    uint64           `json:"bytes_out"`
	Errors      []kindCount      `json:"errors"`
	ErrorsTotal int64            `json:"errors_total"`
	CPU         cpuReport        `json:"client_cpu"`
	Memory      memoryReport     `json:"client_memory"`
	Goroutines  goroutineReport  `json:"client_goroutines"`
	TLS         *tlsReport       `json:"tls,omitempty"` // nil: there was none
}

// tlsReport is about handshakes. Their latencies are with those of the verbs.
type tlsReport struct {
	Mode           tlsMode     `json:"mode"`
	Verified       bool        `json:"verified"`
	Handshakes     int64       `json:"handshakes"`            // completed
	Rate           float64     `json:"handshakes_per_second"` // of the time in which any were under way
	Resumed        int64       `json:"resumed"`               // of them
	ResumedPercent float64     `json:"resumed_percent"`
	Computing      float64     `json:"computing_us_per_handshake"`
	Kinds          []kindCount `json:"kinds"` // version and cipher
}

type connectionReport struct {
	Wanted   int     `json:"wanted"`
	Admitted int     `json:"admitted"`             // logged in, with a mailbox open
	Peak     int     `json:"peak"`                 // of them at the same time
	AllIn    float64 `json:"all_in_after_seconds"` // 0: they never were
	Depth    int     `json:"depth"`
}

type verbReport struct {
	Verb  string  `json:"verb"`
	Count int64   `json:"count"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

type checkReport struct {
	Headers   int64 `json:"headers"`
	Bodies    int64 `json:"bodies"`
	Bytes     int64 `json:"bytes"`
	Generated int64 `json:"generated"` // of headers and bodies: known byte by byte; the rest by size and first coming
}

type cpuReport struct {
	User   float64 `json:"user_us_per_command"`
	System float64 `json:"system_us_per_command"`
	Cores  float64 `json:"cores"` // kept busy on average
}

// memoryReport is of the moment when the run was over and the connections were
// still at work. Per-connection figures are what the connections after the first
// added to the heap and the stacks, after garbage collections, and imload's own
// bookkeeping: so what is there once, however many there are, does not count. What
// was not measured is left out of the JSON.
type memoryReport struct {
	Heap         float64 `json:"heap_bytes_per_connection,omitzero"`
	Bookkeeping  float64 `json:"bookkeeping_bytes_per_connection,omitzero"` // of the heap
	Stacks       float64 `json:"stack_bytes_per_connection,omitzero"`
	Connections  int     `json:"connections"` // with less than 100 the noise is too loud to report
	PeakResident int64   `json:"peak_resident_bytes"`
}

type goroutineReport struct {
	AtWork int `json:"at_work"`
	Peak   int `json:"peak"`
}

// memorySample is the fewest connections of which the memory is reported.
const memorySample = 100

// report makes the result of a run that is over.
func (f *fleet) report(server string) *report {
	m, u := f.meter, &f.usage
	elapsed := u.last.Sub(u.began)
	r := &report{
		Commands:    m.commands,
		Seconds:     elapsed.Seconds(),
		Server:      server,
		Interrupted: f.interrupted,
		Connections: f.connectionReport(),
		Logins:      sortedCounts(f.logins),
		Checked:     checkReport{m.headers, m.bodies, m.checkedBytes, m.generated},
		Errors:      sortedCounts(m.errors),
		ErrorsTotal: m.failures,
		Goroutines:  goroutineReport{u.goroutines, u.goroutinesPeak},
		Memory:      memoryReport{PeakResident: peakResident()},
	}
	r.BytesIn, r.BytesOut = f.bytes()
	for v := range verbCount {
		if m.latency[v].TotalCount() > 0 {
			r.Verbs = append(r.Verbs, newVerbReport(v, m.latency[v]))
		}
	}
	if elapsed > 0 {
		r.Rate = float64(m.commands) / elapsed.Seconds()
	}
	r.cpu(cpuNow().minus(u.cpu).minus(u.aside), elapsed)
	r.memory(u)
	if f.opt.tls.mode != tlsNever {
		r.TLS = f.tlsReport()
	}
	return r
}

func (f *fleet) tlsReport() *tlsReport {
	full, resumed := f.meter.latency[verbHandshake].TotalCount(), f.meter.latency[verbResumption].TotalCount()
	r := &tlsReport{
		Mode: f.opt.tls.mode, Verified: !f.opt.tls.insecure,
		Handshakes: full + resumed, Resumed: resumed,
		Kinds: sortedCounts(f.handshakes.kinds),
	}
	if r.Handshakes == 0 {
		return r
	}
	n := float64(r.Handshakes)
	r.ResumedPercent = 100 * float64(resumed) / n
	r.Computing = microseconds(f.dialer.TLS.Stats().Busy) / n
	if lasted := f.handshakes.lasted(time.Now()); lasted > 0 {
		r.Rate = n / lasted.Seconds()
	}
	return r
}

func (f *fleet) connectionReport() connectionReport {
	u := &f.usage
	r := connectionReport{Wanted: len(f.sessions), Admitted: u.admitted, Peak: u.peakUp, Depth: f.opt.depth}
	if !u.allIn.IsZero() {
		r.AllIn = u.allIn.Sub(u.began).Seconds()
	}
	return r
}

func (r *report) cpu(used cpuTime, elapsed time.Duration) {
	if r.Commands == 0 || elapsed <= 0 {
		return
	}
	r.CPU = cpuReport{
		User:   microseconds(used.user) / float64(r.Commands),
		System: microseconds(used.system) / float64(r.Commands),
		Cores:  (used.user + used.system).Seconds() / elapsed.Seconds(),
	}
}

func (r *report) memory(u *usage) {
	r.Memory.Connections = u.heldBy
	if u.heldBy < memorySample {
		return
	}
	added, others := u.held.minus(u.first), float64(u.heldBy-1)
	r.Memory.Bookkeeping = float64(u.bookkeeping.heap) / float64(r.Connections.Wanted)
	r.Memory.Heap = float64(added.heap)/others + r.Memory.Bookkeeping
	r.Memory.Stacks = float64(added.stacks) / others
}

func newVerbReport(v verb, h *hdrhistogram.Histogram) verbReport {
	at := func(percentile float64) float64 { return microseconds(time.Duration(h.ValueAtPercentile(percentile))) }
	return verbReport{v.String(), h.TotalCount(), at(50), at(90), at(99), at(99.9), microseconds(time.Duration(h.Max()))}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// writeJSON prints the report as one object.
func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

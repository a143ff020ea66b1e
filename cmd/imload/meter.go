package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in nanoseconds, with three digits, in this range.
const (
	shortestLatency = time.Microsecond
	longestLatency  = 2 * time.Minute
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(shortestLatency), int64(longestLatency), 3)
}

// record clips what does not fit: that a command took more than the longest
// latency is worth more than the exact number.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(int64(min(max(d, 0), longestLatency)))
}

// kindCount is how often something happened, most often something wrong.
type kindCount struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// meter counts what the fleet does.
type meter struct {
	commands int64 // completed with OK
	latency  [verbCount]*hdrhistogram.Histogram
	recent   *hdrhistogram.Histogram // since the last progress line
	errors   map[string]int64
	failures int64 // sum of errors

	headers, bodies int64 // compared and found right
	checkedBytes    int64
	generated       int64 // among them those of which we know every byte
}

func newMeter() *meter {
	m := &meter{recent: newHistogram(), errors: map[string]int64{}}
	for v := range m.latency {
		m.latency[v] = newHistogram()
	}
	return m
}

// done counts a command that completed with OK, or what else is measured.
func (m *meter) done(v verb, took time.Duration) {
	record(m.latency[v], took)
	if v.isCommand() {
		record(m.recent, took)
		m.commands++
	}
}

// checked counts a header or body that is what it must be.
func (m *meter) checked(v verb, size int, ours bool) {
	if v == verbHeaders {
		m.headers++
	} else {
		m.bodies++
	}
	m.checkedBytes += int64(size)
	if ours {
		m.generated++
	}
}

// fail counts an error and reports whether it is the first of its kind.
func (m *meter) fail(kind string) (first bool) {
	m.errors[kind]++
	m.failures++
	return m.errors[kind] == 1
}

// sortedCounts puts the most frequent kinds first.
func sortedCounts(counts map[string]int64) []kindCount {
	kinds := []kindCount{}
	for kind, count := range counts {
		kinds = append(kinds, kindCount{kind, count})
	}
	slices.SortFunc(kinds, func(a, b kindCount) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Kind, b.Kind))
	})
	return kinds
}

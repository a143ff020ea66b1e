package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// golden compares got with a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the output must be that of %s:\n%s", path, got)
	}
}

// sample is a report with something of everything, of figures as they come.
func sample() *report {
	return &report{
		Commands: 1234567, Seconds: 10.25, Rate: 120445.56, Server: "mail.example.org port 143", Interrupted: true,
		Connections: connectionReport{Wanted: 10000, Admitted: 9999, Peak: 9998, AllIn: 1.234, Depth: 16},
		Verbs: []verbReport{
			{"login", 9999, 850, 1200, 9995, 99950, 1e6},
			{"fetch-headers", 1200000, 0, 999.4, 12345, 123456, 61e6},
			{"logout", 24568, 1, 2, 3, 4, 5},
			{"connect", 9999, 50, 60, 70, 80, 90},
			{"tls-resumed", 9000, 250000, 270000, 277000, 278000, 279000},
			{"wake", 4321, 505000, 506000, 507000, 508000, 2e6},
		},
		Checked: checkReport{Headers: 9600000, Bodies: 1234, Bytes: 3 << 30, Generated: 9500000},
		Logins:  []kindCount{{"SCRAM-SHA-256-PLUS, no layer", 9990}, {"DIGEST-MD5, layer: privacy, 128 bits", 9}},
		BytesIn: 5 << 30, BytesOut: 123456789,
		Errors: []kindCount{{"fetch-body: wrong bytes", 1500}, {"login: NO", 1}}, ErrorsTotal: 1501,
		CPU:        cpuReport{User: 3.14, System: 5.92, Cores: 0.93},
		Memory:     memoryReport{Heap: 1290, Bookkeeping: 427, Stacks: 33, Connections: 9998, PeakResident: 64 << 20},
		Goroutines: goroutineReport{AtWork: 4, Peak: 5},
		TLS: &tlsReport{
			Mode: tlsLater, Handshakes: 9999, Rate: 1234.5, Resumed: 9000, ResumedPercent: 90.009, Computing: 456.7,
			Kinds: []kindCount{{"TLS 1.3, TLS_AES_128_GCM_SHA256", 9998}, {"TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 1}},
		},
	}
}

func TestTable(t *testing.T) {
	failed := &report{Server: "localhost port 1", Connections: connectionReport{Wanted: 1000, Depth: 1},
		Errors: []kindCount{{"connect: connection refused", 1}}, ErrorsTotal: 1}
	good := sample()
	good.Interrupted, good.Errors, good.Checked.Generated = false, nil, good.Checked.Headers+good.Checked.Bodies
	good.Connections.Admitted = good.Connections.Wanted
	good.TLS.Verified, good.TLS.Kinds = true, good.TLS.Kinds[:1]
	for name, r := range map[string]*report{"table.txt": sample(), "table-good.txt": good, "table-failed.txt": failed} {
		var b bytes.Buffer
		if err := r.writeTable(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 80 { // with its line end
				t.Errorf("the table must fit 79 columns: %q", line)
			}
		}
		golden(t, name, b.Bytes())
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "{\n  \"commands\": 1234567,\n") {
		t.Errorf("the first key must be commands:\n%s", b.String())
	}
	golden(t, "report.json", b.Bytes())
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) must be %s, is %s", n, want, got)
		}
	}
}

func TestLatency(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0us"}, {499, "0us"}, {850 * time.Microsecond, "850us"}, {999499, "999us"}, {999501, "1.00ms"},
		{9994 * time.Microsecond, "9.99ms"}, {9996 * time.Microsecond, "10.0ms"}, {99949 * time.Microsecond, "99.9ms"},
		{99951 * time.Microsecond, "100ms"}, {999499 * time.Microsecond, "999ms"}, {999501 * time.Microsecond, "1.00s"},
		{75 * time.Second, "75.0s"}, {2000 * time.Second, "2000s"},
	} {
		if got := latency(test.d); got != test.want {
			t.Errorf("latency(%d ns) must be %s, is %s", test.d, test.want, got)
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB",
		-268: "-268 B", 5 << 20: "5.00 MiB", 300 << 20: "300 MiB", 1 << 30: "1.00 GiB", 1 << 50: "1024 TiB"} {
		if got := size(bytes); got != want {
			t.Errorf("size(%v) must be %s, is %s", bytes, want, got)
		}
	}
}

func TestMeter(t *testing.T) {
	m := newMeter()
	m.done(verbNoop, 3*time.Millisecond)
	m.done(verbConnect, time.Millisecond)
	m.done(verbWake, time.Hour)
	m.done(verbBody, -time.Second)
	if m.commands != 2 {
		t.Errorf("connects and wakes are no commands: %d", m.commands)
	}
	if got := time.Duration(m.latency[verbNoop].Max()); got < 3*time.Millisecond || got > 3*time.Millisecond+3*time.Microsecond {
		t.Errorf("a latency must be kept to three digits: 3 ms became %v", got)
	}
	if m.latency[verbWake].TotalCount() != 1 || m.latency[verbBody].TotalCount() != 1 {
		t.Errorf("latencies out of range must be clipped, not lost")
	}
	for _, kind := range []string{"b", "a", "c", "c"} {
		m.fail(kind)
	}
	if first := m.fail("c"); first {
		t.Errorf("the third is not the first")
	}
	want := []kindCount{{"c", 3}, {"a", 1}, {"b", 1}}
	got := sortedCounts(m.errors)
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("errors must be sorted by frequency, then by name: %v", got)
	}
}

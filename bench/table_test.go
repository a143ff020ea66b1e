//go:build linux

package bench

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
)

var showTable = flag.Bool("table", false, "print the figures of commands as a Markdown table at the end")

// table collects a line for every race of commands.
var table []line

type line struct {
	name              string // as of the benchmark
	ours, floor, peer float64
	ratio             float64
}

func addLine(tb testing.TB, sides []*side) {
	l := line{
		name:  strings.TrimPrefix(tb.Name(), "Benchmark"),
		ours:  sides[0].median(nanoseconds),
		floor: sides[1].median(nanoseconds),
		ratio: ratio(sides[0], sides[1]),
	}
	if len(sides) > 2 {
		l.peer = sides[2].median(nanoseconds)
	}
	table = append(table, l)
}

// printTable writes microseconds.
func printTable(w io.Writer) {
	fmt.Fprintln(w, "| CPU time a command | ours | floor | ours / floor | go-imap v2 |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	for _, l := range table {
		peer := ""
		if l.peer > 0 {
			peer = fmt.Sprintf("%.2f us", l.peer/1000)
		}
		fmt.Fprintf(w, "| %s | %.2f us | %.2f us | %.2f | %s |\n", l.name, l.ours/1000, l.floor/1000, l.ratio, peer)
	}
}

//go:build linux

package bench

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/imclient/imclient/bench/fleet"
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

// rates collects a line for every race whose figures are for a CPU second.
var rates []rate

type rate struct {
	name, unit         string
	ours, floor, ratio float64
}

func addRate(tb testing.TB, sides []*side, unit string, of func(fleet.Cost) float64) {
	rates = append(rates, rate{
		name:  strings.TrimPrefix(tb.Name(), "Benchmark"),
		unit:  unit,
		ours:  sides[0].median(of),
		floor: sides[1].median(of),
		ratio: 1 / ratio(sides[0], sides[1]),
	})
}

func printRates(w io.Writer) {
	fmt.Fprintln(w, "| In a CPU second | ours | floor | ours / floor |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, r := range rates {
		fmt.Fprintf(w, "| %s | %.0f %s | %.0f %s | %.2f |\n", r.name, r.ours, r.unit, r.floor, r.unit, r.ratio)
	}
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

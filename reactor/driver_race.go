//go:build race

package reactor

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
)

// driver is the goroutine that drives a loop, in race builds, so that a call from
// another one panics with the name of the call. The race detector would find most of
// them, but not those that happen to be in step, and it does not say what to do.
//
// Its field is read and written without synchronization and out of the race
// detector's sight: an atomic one would order the calls of two goroutines, and so
// hide from the detector the very races that it is there to find. The zero value
// means that nobody drives the loop; then any goroutine may call, and hand it on.
type driver struct{ goroutine uint64 }

//go:norace
//go:noinline
func (d *driver) begin() { d.goroutine = goroutine() }

//go:norace
//go:noinline
func (d *driver) end() { d.goroutine = 0 }

// check panics if another goroutine drives the loop.
//
//go:norace
//go:noinline
func (d *driver) check(call string) {
	driving := d.goroutine
	if driving == 0 {
		return
	}
	if me := goroutine(); me != driving {
		panic(fmt.Sprintf("reactor: %s on goroutine %d while goroutine %d drives the loop; use Post", call, me, driving))
	}
}

// goroutine is the number of the calling goroutine, from the first line of its stack
// trace, "goroutine 34 [running]:".
func goroutine() uint64 {
	var buf [64]byte
	line := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic("reactor: a stack trace without the goroutine's number: " + string(line))
	}
	return n
}

package krb5

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// panicError is a panic of code that is not ours, on input that is not ours either.
// Its text is of that code and may quote the input, so it is not shown: Value and
// Stack are for a debugger.
type panicError struct {
	Value any
	Stack []byte
}

func (e *panicError) Error() string { return "malformed (the decoder gave up)" }

var errGoexit = errors.New("krb5: the decoder ended its goroutine")

// guarded calls f, which calls gokrb5: its code indexes beyond what is malformed. A
// panic there costs this one request. (What runs out of memory or stack cannot be
// caught, so callers bound what they hand in.)
func guarded(f func() error) (err error) {
	err = errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// Format implements [fmt.Formatter].
func (e *panicError) Format(s fmt.State, verb rune) { fmt.Fprint(s, e.Error()) }

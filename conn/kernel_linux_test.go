package conn

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A wait that a signal interrupts is over early, and that is no error: whoever waits
// looks at his deadline and comes again.
func TestInterruptedWait(t *testing.T) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	thread, done := make(chan int), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		if ready, err := (system{}).poll(ends[0], unix.POLLIN, -1); ready || err != nil {
			t.Errorf("an interrupted wait has found nothing, and did not fail: %t, %v", ready, err)
		}
	}()
	// Signals until one hits: SIGURG, which Go's runtime sends to its own threads.
	for waiter := <-thread; ; {
		select {
		case <-done:
			return
		default:
			if err := unix.Tgkill(unix.Getpid(), waiter, unix.SIGURG); err != nil {
				t.Fatal(err)
			}
		}
	}
}

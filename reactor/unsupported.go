//go:build !linux

package reactor

// The loop has a poller for Linux only. kqueue and poll(2) are still to be written;
// until then a build for another system ends here, with the next line as its one error.
func newPoller() (poller, error) { return reactor_has_no_poller_for_this_system_yet }

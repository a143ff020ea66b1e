//go:build !unix

package reactor

// There are pollers for the systems of the Unix family. A build for another ends here,
// with the next line as its one error.
func newPoller() (poller, error) { return reactor_has_no_poller_for_this_system }

//go:build aix || solaris

package reactor

// poll(2) is the best that is written for these systems: illumos, Solaris and AIX have
// event ports and pollset of their own.
func newPoller() (poller, error) { return newPoll(system{}) }

//go:build unix && !linux

package reactor

var eight = []byte("a signal")

// counterSize is how many descriptors of the real kernel a counter takes.
const counterSize = 2

// counterDescriptors are what a counter reads and what it is fed by.
func counterDescriptors(w *world) (r, feed int, err error) { return w.pipe() }

// descriptors are the loop's own.
func descriptors(l *Loop) []int { return portableDescriptors(l) }

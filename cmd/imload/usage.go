package main

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// spareDescriptors are for what is not a connection: standard streams, the
// poller, its wake-up, pipes to the child, name lookups.
const spareDescriptors = 64

// raiseDescriptorLimit takes all the descriptors that the system grants and
// returns how many connections they are enough for.
func raiseDescriptorLimit() (connections int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		// Where "unlimited" is no number that the kernel takes, the old limit
		// stays in force.
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	const plenty = 1 << 30
	return int(min(uint64(limit.Cur), plenty)) - spareDescriptors, nil
}

// cpuTime is what this process has used, without its children.
type cpuTime struct{ user, system time.Duration }

func cpuNow() cpuTime {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return cpuTime{}
	}
	return cpuTime{time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())}
}

func (t cpuTime) plus(u cpuTime) cpuTime  { return cpuTime{t.user + u.user, t.system + u.system} }
func (t cpuTime) minus(u cpuTime) cpuTime { return cpuTime{t.user - u.user, t.system - u.system} }

// memory is what this process's Go heap and stacks hold, in bytes.
type memory struct{ heap, stacks int64 }

func (m memory) minus(n memory) memory { return memory{m.heap - n.heap, m.stacks - n.stacks} }

// memoryInUse counts after a garbage collection, so that it takes some
// milliseconds. Twice, because what sync.Pool holds survives the first.
func memoryInUse() memory {
	runtime.GC()
	runtime.GC()
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	return memory{int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())}
}

// peakResident is the most memory that this process has had in RAM, in bytes.
func peakResident() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return int64(usage.Maxrss) << 10 // it is in KiB
}

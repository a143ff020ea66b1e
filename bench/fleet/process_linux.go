package fleet

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"
)

// Request is one line of JSON from the benchmark to a child process.
type Request struct {
	Op      Op
	Server  Server // OpOpen
	Conns   int    // OpOpen
	Profile string // a file for the CPU profile from OpOpen on, for the heap profile at OpIdle; "": none
	Job     Job    // OpRun
}

// Op says what is wanted.
type Op string

const (
	OpOpen Op = "open"
	OpRun  Op = "run"
	OpIdle Op = "idle"
)

// Response is the answer to a Request.
type Response struct {
	Error  string // "": done
	Cost   Cost   // OpRun
	Memory Memory // OpIdle
}

// Cost is what a job took in the whole process: the goroutine that drives the
// connections, and what the runtime does beside it.
type Cost struct {
	Work
	CPU     time.Duration // user and system
	Mallocs int64
}

// Memory is what an open fleet holds, over what its process held before the
// first connection, after garbage collection.
type Memory struct {
	Heap, Stacks int64 // bytes
	Goroutines   int
}

// Serve carries out requests until in ends.
func Serve(f Fleet, in io.Reader, out io.Writer) (err error) {
	p := process{fleet: f}
	defer pprof.StopCPUProfile()
	return Answer("fleet", in, out, func(req Request) (resp Response) {
		if err := p.do(req, &resp); err != nil {
			resp.Error = err.Error()
		}
		return resp
	})
}

type process struct {
	fleet Fleet
	conns int
	empty Memory
}

func (p *process) do(req Request, resp *Response) (err error) {
	switch req.Op {
	case OpOpen:
		p.empty, p.conns = memory(), req.Conns
		if err := p.fleet.Open(req.Server, req.Conns); err != nil {
			return err
		}
		return profile(req.Profile, pprof.StartCPUProfile)
	case OpRun:
		resp.Cost, err = p.run(req.Job)
		return err
	case OpIdle:
		if err := p.fleet.Idle(); err != nil {
			return err
		}
		now := memory()
		resp.Memory = Memory{now.Heap - p.empty.Heap, now.Stacks - p.empty.Stacks, now.Goroutines - p.empty.Goroutines}
		return profile(req.Profile, pprof.WriteHeapProfile)
	}
	return fmt.Errorf("fleet: unknown request %q", req.Op)
}

// run measures a job, and refuses a cost that does not stand for all of it.
func (p *process) run(job Job) (cost Cost, err error) {
	before := mallocs()
	begin, err := CPU()
	if err != nil {
		return cost, err
	}
	if cost.Work, err = p.fleet.Run(job); err != nil {
		return cost, err
	}
	end, err := CPU()
	if err != nil {
		return cost, err
	}
	cost.CPU = end - begin
	cost.Mallocs = mallocs() - before
	want := job.Want(p.conns)
	want.Syscalls = cost.Syscalls
	if cost.Work != want {
		return cost, fmt.Errorf("fleet: did %+v of %+v", cost.Work, want)
	}
	return cost, nil
}

// CPU returns the user and system time of the process so far.
func CPU() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func mallocs() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Mallocs)
}

// memory collects twice, because a sync.Pool gives up its contents only at the
// second collection after their last use.
func memory() Memory {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return Memory{int64(stats.HeapAlloc), int64(stats.StackInuse), runtime.NumGoroutine()}
}

// profile has write begin a profile in a new file. The file stays open: a CPU
// profile is written to it until the process ends.
func profile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return write(file)
}

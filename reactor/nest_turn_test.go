package reactor

import (
	"context"
	"errors"
	"testing"
	"time"
)

// An outer loop has an inner one do a whole turn at a call, and no more than that.
func TestInnerLoopRunsATurnAtACall(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	fd, _ := inner.GetSelectInfo()
	calls := 0
	for s := range 2 * batchSize {
		mustAdd(t, inner, &counterless{fd: s, do: func() { calls++ }})
		innerP.set(s, Readable)
	}
	outerP.set(fd, Readable)
	turns := inner.stats.Turns
	if ok, err := outer.TryProcessOneEvent(); !ok || err != nil {
		t.Fatalf("the inner loop is one source that is ready; it said %v, %v", ok, err)
	}
	if calls != batchSize || inner.stats.Turns != turns+1 {
		t.Errorf("one event of the outer loop is a turn of the inner one, %d events; it was %d turns, %d events",
			batchSize, inner.stats.Turns-turns, calls)
	}
	outer.Remove(inner)
	if calls = 0; !mustTry(t, inner) || calls != 1 {
		t.Errorf("for anybody else a call is one event; it was %d", calls)
	}
}

func mustTry(t *testing.T, l *Loop) bool {
	t.Helper()
	ok, err := l.TryProcessOneEvent()
	if err != nil {
		t.Fatalf("TryProcessOneEvent succeeds; it said %v", err)
	}
	return ok
}

// What was left of a turn by somebody who took one event is the next call's, and the
// outer loop knows.
func TestInnerLoopFinishesATurn(t *testing.T) {
	outer, inner, _, _ := hosted(t)
	ran := 0
	for range 3 {
		inner.Post(func() { ran++ })
	}
	if !mustTry(t, inner) || ran != 1 {
		t.Fatalf("a call is one event; it was %d", ran)
	}
	turns := inner.stats.Turns
	steps(t, outer, 1)
	if ran != 3 || inner.stats.Turns != turns {
		t.Errorf("the outer loop's call ends the turn that was begun; %d of 3 posts ran, in %d more turns", ran, inner.stats.Turns-turns)
	}
}

// An inner loop that always has work holds up nobody in the outer one.
func TestInnerFloodDelaysNobody(t *testing.T) {
	outer, inner, outerP, _ := hosted(t)
	flood := newFull(3)
	flood.do = func() (bool, error) {
		flood.deadline = inner.Now()
		return true, nil
	}
	flood.deadline = inner.Now()
	mustAdd(t, inner, flood)
	quiet := newFull(4)
	mustAdd(t, outer, quiet)
	outerP.set(4, Readable)
	turns := steps(t, outer, 20)
	if quiet.calls < int(turns) || flood.calls > 2*int(turns)+2 {
		t.Errorf("in %d turns each has its turn; the flood had %d calls, the other %d", turns, flood.calls, quiet.calls)
	}
}

// faultyInner has a source of an inner loop fail in the kernel's hands.
func faultyInner(t *testing.T, inner *Loop, innerP *fakePoller) *full {
	t.Helper()
	bad := newFull(5)
	mustAdd(t, inner, bad)
	innerP.failing["modify"] = errors.New("bad descriptor")
	bad.paused = true
	bad.changed()
	return bad
}

// An error about a source of the inner loop comes out of whatever drives the outer
// one, and both loops go on.
func TestSourceErrorOfAnInnerLoop(t *testing.T) {
	for name, drive := range map[string]func(l *Loop) error{
		"Run":                func(l *Loop) error { return l.Run(context.Background()) },
		"ProcessOneEvent":    func(l *Loop) error { return firstError(l.ProcessOneEvent) },
		"TryProcessOneEvent": func(l *Loop) error { return firstError(func() error { _, err := l.TryProcessOneEvent(); return err }) },
	} {
		outer, inner, _, innerP := hosted(t)
		bad := faultyInner(t, inner, innerP)
		err := drive(outer)
		var fault *SourceError
		if !errors.As(err, &fault) || fault.Source != bad || !errors.Is(err, innerP.failing["modify"]) {
			t.Errorf("%s of the outer loop names the source of the inner one; it said %v", name, err)
		}
		if outer.table.n != 1 || inner.table.n != 0 || outer.stats.Failed != 0 || inner.stats.Failed != 1 {
			t.Errorf("only the source is removed; %d are in the outer loop, %d in the inner", outer.table.n, inner.table.n)
		}
		fired := false
		inner.After(time.Second, func() { fired = true })
		if steps(t, outer, 1); !fired {
			t.Errorf("after %s both loops go on; they did not", name)
		}
	}
}

// firstError calls a few times until there is an error.
func firstError(call func() error) (err error) {
	for i := 0; i < 5 && err == nil; i++ {
		err = call()
	}
	return err
}

// An inner loop whose poller fails leaves the outer one, which says so.
func TestPollerErrorOfAnInnerLoop(t *testing.T) {
	outer, inner, outerP, innerP := hosted(t)
	innerP.failing["wait"] = errors.New("no memory")
	fd, _ := inner.GetSelectInfo()
	outerP.set(fd, Readable)
	err := outer.Run(context.Background())
	var fault *SourceError
	if !errors.As(err, &fault) || fault.Source != inner || !errors.Is(err, innerP.failing["wait"]) {
		t.Errorf("Run of the outer loop names the inner one, and says why; it said %v", err)
	}
	if outer.table.n != 0 || outer.stats.Failed != 1 || inner.hostNotify != nil {
		t.Errorf("the inner loop is out; %d sources are left", outer.table.n)
	}
	ran := false
	outer.Post(func() { ran = true })
	if steps(t, outer, 1); !ran {
		t.Error("the outer loop goes on; it did not")
	}
}

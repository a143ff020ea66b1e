package reactor

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// A Descriptor that newly wants to write is called when the kernel says so, where
// other sources are tried first.
func TestDescriptorIsNotCalledSpeculatively(t *testing.T) {
	l, p, _ := newFake(t)
	calls := 0
	d := FD(3, Readable, func() error { calls++; return nil })
	mustAdd(t, l, d)
	d.Want(Writable)
	drain(t, l)
	if calls != 0 {
		t.Errorf("nothing was ready, so ready is not called; it was %d times", calls)
	}
	wantLog(t, p, "add 3 r", "modify 3 w")
	p.set(3, Writable)
	if turns := steps(t, l, 5); calls != 5 || turns != 5 {
		t.Errorf("ready is called once a turn while the descriptor is; it was %d times in %d turns", calls, turns)
	}
	p.set(3, 0)
	other := FD(4, Writable, func() error { t.Error("nothing was ready when it was added; it was called"); return nil })
	mustAdd(t, l, other)
	drain(t, l)
}

// Readiness to write is no reason to read, also when the mind changes between the
// kernel's report and its delivery.
func TestDescriptorIsNotCalledForWhatItWanted(t *testing.T) {
	for _, want := range []Interest{0, Writable, Readable | Writable} {
		l, p, _ := newFake(t)
		var calls []Interest
		d := FD(3, Readable, nop)
		d.ready = func() error { calls = append(calls, d.want); return nil }
		// Called first in the batch, it changes the mind of the one behind it.
		first := FD(2, Readable, func() error { d.Want(want); p.set(2, 0); return nil })
		mustAdd(t, l, first, d)
		p.set(2, Readable)
		p.set(3, Readable)
		drive(l, false)
		if drive(l, false); len(calls) > 0 && want&Readable == 0 {
			t.Errorf("what is readable is not called for %v; it was", want)
		}
		wantLog(t, p, "add 2 r", "add 3 r", fmt.Sprintf("modify 3 %v", want))
		d.Want(Readable)
		if ok, _ := drive(l, false); !ok || len(calls) == 0 {
			t.Error("the readiness is not lost: it is reported again; it was not")
		}
	}
}

func nop() error { return nil }

// Other sources find out by themselves what they are called for, and are not made to
// wait for another report.
func TestOtherSourcesAreCalledForWhatTheyWanted(t *testing.T) {
	l, p, _ := newFake(t)
	s := newFull(3)
	first := slowSource(2, func() {
		p.set(2, 0)
		s.write = true
		s.changed()
	})
	mustAdd(t, l, first, s)
	p.set(2, Readable)
	p.set(3, Readable)
	if turns := steps(t, l, 2); turns != 1 || s.calls != 1 || l.stats.Stale != 0 {
		t.Errorf("both are called in one turn; it took %d, %d events were stale", turns, l.stats.Stale)
	}
}

// Want in ready takes effect when it returns, without a word to the kernel between.
func TestDescriptorChangesItsMindInReady(t *testing.T) {
	l, p, _ := newFake(t)
	var calls []Interest
	d := FD(3, Readable, nop)
	d.ready = func() error {
		calls = append(calls, d.want)
		d.Want(0)
		d.Want(d.want ^ Writable)
		return nil
	}
	mustAdd(t, l, d)
	p.set(3, Readable|Writable)
	if steps(t, l, 2); fmt.Sprint(calls) != "[r w]" {
		t.Errorf("it is called for reading, then for writing; it was for %v", calls)
	}
	wantLog(t, p, "add 3 r", "modify 3 w")
}

// A paused Descriptor is not called, not even for the hang-up that the kernel reports
// whatever is wanted.
func TestPausedDescriptorHearsNothing(t *testing.T) {
	l, p, _ := newFake(t)
	d := FD(3, Readable, func() error { t.Error("a paused descriptor hears nothing; it was called"); return nil })
	mustAdd(t, l, d)
	d.Want(0)
	drain(t, l)
	p.inject = []event{{3, p.watched[3].gen}}
	drain(t, l)
	wantLog(t, p, "add 3 r", "modify 3 -")
}

func TestDescriptorThatFails(t *testing.T) {
	l, p, _ := newFake(t)
	fail := error(syscall.EAGAIN)
	d := FD(3, Readable, func() error { return fail })
	mustAdd(t, l, d)
	p.set(3, Readable)
	if ok, err := l.TryProcessOneEvent(); ok || err != nil || l.table.n != 1 {
		t.Errorf("EAGAIN is readiness that was none; it said %v, %v, and %d sources are left", ok, err, l.table.n)
	}
	fail = errors.New("broken")
	if ok, err := l.TryProcessOneEvent(); !ok || err != nil {
		t.Errorf("an error of ready goes no further; it said %v, %v", ok, err)
	}
	if l.table.n != 0 || d.changed != nil || l.stats.Failed != 1 {
		t.Errorf("it removes the descriptor; %d sources are left", l.table.n)
	}
	d.Want(Writable) // in no loop
	if fd, write := d.GetSelectInfo(); fd != 3 || !write {
		t.Errorf("Want is kept for the next loop; it was %d, %v", fd, write)
	}
}

// A type that embeds a *Descriptor, to give it a name in OnSlow or a deadline, has
// the same promise.
func TestEmbeddedDescriptor(t *testing.T) {
	l, p, _ := newFake(t)
	called := false
	s := &struct{ *Descriptor }{FD(3, Readable, func() error { called = true; return nil })}
	mustAdd(t, l, s)
	s.Want(Writable)
	drain(t, l)
	wantLog(t, p, "add 3 r", "modify 3 w")
	if called {
		t.Error("nothing was ready; it was called")
	}
}

func TestInterestString(t *testing.T) {
	for in, want := range map[Interest]string{0: "-", Readable: "r", Writable: "w", Readable | Writable: "rw", 1 << 7: "-"} {
		if got := in.String(); got != want {
			t.Errorf("%d is %q; it was %q", uint8(in), want, got)
		}
	}
	d := FD(3, 1<<7|Readable, nop)
	if d.want != Readable {
		t.Errorf("what is no interest is left out; it was %d", d.want)
	}
	if d.Want(1<<7 | Writable); d.want != Writable {
		t.Errorf("what is no interest is left out; it was %d", d.want)
	}
}

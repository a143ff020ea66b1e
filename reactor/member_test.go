package reactor

import (
	"errors"
	"slices"
	"testing"
)

// member is a source that notes what it is told.
type member struct {
	full
	loop  *Loop
	told  []string
	onSet func(l *Loop)
}

func newMember(fd int) *member { return &member{full: full{plain: plain{fd: fd}}} }

func (m *member) SetLoop(l *Loop) {
	m.loop = l
	m.note("SetLoop", l != nil)
	if m.onSet != nil {
		m.onSet(l)
	}
}

func (m *member) SetNotify(changed func()) {
	m.note("SetNotify", changed != nil)
	m.full.SetNotify(changed)
}

func (m *member) note(call string, something bool) {
	if !something {
		call += "(nil)"
	}
	m.told = append(m.told, call)
}

// quietMember is one that cannot notify.
type quietMember struct {
	plain
	told []*Loop
}

func (m *quietMember) SetLoop(l *Loop) { m.told = append(m.told, l) }

var tellsAll = []string{"SetLoop", "SetNotify", "SetLoop(nil)", "SetNotify(nil)"}

// However a member leaves, it is told once, in the same order.
func TestMemberIsToldOnce(t *testing.T) {
	for name, leave := range map[string]func(l *Loop, p *fakePoller, m *member){
		"Remove":             func(l *Loop, p *fakePoller, m *member) { _ = l.Remove(m) },
		"Remove in its call": func(l *Loop, p *fakePoller, m *member) { m.do = func() (bool, error) { return true, l.Remove(m) } },
		"an error": func(l *Loop, p *fakePoller, m *member) {
			m.do = func() (bool, error) { return true, errors.New("end") }
		},
		"Close":             func(l *Loop, p *fakePoller, m *member) { l.Close() },
		"Close in its call": func(l *Loop, p *fakePoller, m *member) { m.do = func() (bool, error) { return true, l.Close() } },
		"no descriptor":     func(l *Loop, p *fakePoller, m *member) { m.fd = -1; m.changed() },
		"another descriptor that fails": func(l *Loop, p *fakePoller, m *member) {
			p.failing["add"] = errors.New("no room")
			m.fd = 8
			m.changed()
		},
		"an interest that fails": func(l *Loop, p *fakePoller, m *member) {
			p.failing["modify"] = errors.New("bad descriptor")
			m.paused = true
			m.changed()
		},
		"SetLoop itself": func(l *Loop, p *fakePoller, m *member) {
			m.onSet = func(*Loop) { l.Close() }
			_ = l.Remove(m)
		},
	} {
		l, p, _ := newFake(t)
		m := newMember(3)
		mustAdd(t, l, m)
		if m.loop != l {
			t.Fatalf("Add tells a member its loop; it was %p", m.loop)
		}
		p.set(3, Readable)
		leave(l, p, m)
		for range 3 {
			_, _ = l.TryProcessOneEvent()
		}
		l.Close()
		if !slices.Equal(m.told, tellsAll) || m.loop != nil {
			t.Errorf("by %s a member leaves once\n got: %q\nwant: %q", name, m.told, tellsAll)
		}
	}
}

func TestMemberThatCannotNotify(t *testing.T) {
	l, _, _ := newFake(t)
	m := &quietMember{plain: plain{fd: 3}}
	mustAdd(t, l, m)
	drain(t, l)
	m.fd = 4 // and it stays
	drain(t, l)
	if err := l.Remove(m); err != nil || !slices.Equal(m.told, []*Loop{l, nil}) {
		t.Errorf("it is told its loop, and nil at the end; it was %v (%v)", m.told, err)
	}
}

// An Add that fails tells nobody.
func TestMemberThatIsRefused(t *testing.T) {
	l, p, _ := newFake(t)
	p.failing["add"] = errors.New("no room")
	m, none := newMember(3), newMember(-1)
	if err := l.Add(m); !errors.Is(err, p.failing["add"]) {
		t.Errorf("Add says why; it said %v", err)
	}
	if err := l.Add(none); err != ErrNoDescriptor {
		t.Errorf("Add says why; it said %v", err)
	}
	l.Close()
	if err := l.Add(m); err != ErrClosed || len(m.told)+len(none.told) != 0 {
		t.Errorf("who is not in the loop is told nothing; it was %q, %q (%v)", m.told, none.told, err)
	}
}

// SetLoop is a callback in which the loop can be used.
func TestMemberUsesItsLoop(t *testing.T) {
	l, _, _ := newFake(t)
	m, ran := newMember(3), 0
	m.onSet = func(l *Loop) {
		if l != nil {
			f := func() { ran++ }
			l.Post(f)
			l.After(0, f)
			l.Spread(f)
		}
	}
	mustAdd(t, l, m)
	if steps(t, l, 3); ran != 3 {
		t.Errorf("post, timer and what is spread run; %d did", ran)
	}
}

// A member that leaves in SetLoop is out when Add returns, and hears no more.
func TestMemberLeavesWhenItIsTold(t *testing.T) {
	for name, leave := range map[string]func(l *Loop, m Source) error{
		"Remove": (*Loop).Remove,
		"Close":  func(l *Loop, _ Source) error { return l.Close() },
	} {
		l, _, _ := newFake(t)
		m := newMember(3)
		m.onSet = func(l *Loop) {
			if l != nil {
				if err := leave(l, m); err != nil {
					t.Errorf("%s succeeds; it said %v", name, err)
				}
			}
		}
		mustAdd(t, l, m)
		if want := []string{"SetLoop", "SetLoop(nil)", "SetNotify(nil)"}; !slices.Equal(m.told, want) || l.table.n != 0 || m.changed != nil {
			t.Errorf("by %s it is out\n got: %q\nwant: %q", name, m.told, want)
		}
	}
	l, _, _ := newFake(t)
	q := &leaver{quietMember{plain: plain{fd: 3}}}
	mustAdd(t, l, q)
	if drain(t, l); len(q.told) != 2 || len(l.polled) != 0 || q.asked > 3 {
		t.Errorf("one that cannot notify is asked no more; it was %d times", q.asked)
	}
}

// leaver leaves as soon as it joins.
type leaver struct{ quietMember }

func (m *leaver) SetLoop(l *Loop) {
	m.quietMember.SetLoop(l)
	if l != nil {
		_ = l.Remove(m)
	}
}

// In the last call a member may go over to another loop.
func TestMemberMovesToAnotherLoop(t *testing.T) {
	from, _, _ := newFake(t)
	to, _, _ := newFake(t)
	m := newMember(3)
	mustAdd(t, from, m)
	m.onDismiss = func() { m.onDismiss = nil; mustAdd(t, to, m) }
	if err := from.Remove(m); err != nil {
		t.Fatal(err)
	}
	if want := append(slices.Clone(tellsAll), "SetLoop", "SetNotify"); !slices.Equal(m.told, want) || m.loop != to {
		t.Errorf("it hears of the one and then of the other\n got: %q\nwant: %q", m.told, want)
	}
}

// A panic in SetLoop(nil) does not keep changed with a source that has gone.
func TestPanicInSetLoop(t *testing.T) {
	l, _, _ := newFake(t)
	m := newMember(3)
	mustAdd(t, l, m)
	m.onSet = func(*Loop) { panic("told") }
	func() {
		defer func() { _ = recover() }()
		_ = l.Remove(m)
	}()
	if !slices.Equal(m.told, tellsAll) || l.table.n != 0 {
		t.Errorf("it is let go of all the same; it was told %q", m.told)
	}
	l.Close()
}

package reactor

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// What the package documentation lists is read from it here, and compared with what
// the code does, so that the two cannot part.

// packageDoc returns what stands in doc.go under a heading.
func packageDoc(t *testing.T, heading string) (blocks []comment.Block) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for _, block := range new(comment.Parser).Parse(file.Doc.Text()).Content {
		if h, ok := block.(*comment.Heading); ok {
			inside = len(h.Text) == 1 && h.Text[0] == comment.Plain(heading)
		} else if inside {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// listed returns the items of the numbered list under a heading.
func listed(t *testing.T, heading string) (items []string) {
	t.Helper()
	for _, block := range packageDoc(t, heading) {
		list, ok := block.(*comment.List)
		if !ok {
			continue
		}
		for i, item := range list.Items {
			if item.Number != strconv.Itoa(i+1) {
				t.Errorf("the list counts its items; number %d is %q", i+1, item.Number)
			}
			d := comment.Doc{Content: item.Content}
			items = append(items, strings.TrimSpace(string(new(comment.Printer).Text(&d))))
		}
	}
	return items
}

// witness notes the steps of a turn, by the names that the list gives them.
type witness struct {
	seen []string
	over bool // the wait of the turn is over
}

func (w *witness) note(step string) {
	if n := len(w.seen); n == 0 || w.seen[n-1] != step {
		w.seen = append(w.seen, step)
	}
}

// witnessed is a poller that a witness watches.
type witnessed struct {
	*fakePoller
	w *witness
}

func (p witnessed) modify(fd int32, gen uint32, in Interest) error {
	p.w.note("Tell")
	return p.fakePoller.modify(fd, gen, in)
}

func (p witnessed) wait(into []event, timeout time.Duration) (waited, error) {
	p.w.note("Wait")
	p.w.over = true
	return p.fakePoller.wait(into, timeout)
}

// asked is a source that cannot notify, and notes that it is asked.
type asked struct{ w *witness }

func (s *asked) GetSelectInfo() (int, bool)        { s.w.note("Ask"); return 9, false }
func (s *asked) TryProcessOneEvent() (bool, error) { return false, nil }

// busyTurn makes a loop whose next turn has something of everything in it. end is
// called in the last callback.
func busyTurn(t *testing.T, end func()) (*Loop, *witness) {
	l, p, clock := newFake(t)
	w := &witness{}
	l.poller = witnessed{p, w}
	l.clock = func() time.Time {
		if w.over { // the reading before a wait is of no consequence
			w.note("Clock")
			w.over = false
		}
		return clock.now
	}
	source := func(fd int, step string, then func(s *full)) *full {
		s := newFull(fd)
		s.do = func() (bool, error) {
			w.note(step)
			then(s)
			return true, nil
		}
		mustAdd(t, l, s)
		return s
	}
	quiet := func(s *full) { s.deadline = time.Time{} }
	source(3, "Events", func(*full) { p.set(3, 0) })
	due := source(4, "Deadlines", quiet)
	holds := source(5, "Leftovers", quiet)
	writes := source(6, "Leftovers", func(s *full) { s.write = false })
	pauses := source(7, "never", quiet)
	mustAdd(t, l, &asked{w})
	drain(t, l)
	due.deadline = clock.now.Add(time.Second)
	due.changed()
	l.After(time.Second, func() { w.note("Deadlines") })
	l.Spread(func() {
		w.note("Spread")
		l.Spread(func() { w.note("never") })
		end()
	})
	l.Post(func() {
		w.note("Posts")
		holds.deadline, writes.write = l.Now(), true
		holds.changed()
		writes.changed()
	})
	clock.now = clock.now.Add(time.Second)
	p.set(3, Readable)
	w.seen = nil
	pauses.paused = true
	l.inside = true // so that what changed is not looked at before the turn
	pauses.changed()
	l.inside = false
	return l, w
}

// The numbered list of a turn is what a turn does, however the loop is driven.
func TestTheTurnIsAsDocumented(t *testing.T) {
	items := listed(t, "One turn")
	var want []string
	for _, item := range items {
		name, _, _ := strings.Cut(item, ":")
		want = append(want, name)
	}
	if len(want) < 9 {
		t.Fatalf("the list has nine steps; it had %q", want)
	}
	for name, drive := range map[string]func(l *Loop, done *bool) error{
		"TryProcessOneEvent": func(l *Loop, done *bool) error {
			for !*done {
				if _, err := l.TryProcessOneEvent(); err != nil {
					return err
				}
			}
			return nil
		},
		"ProcessOneEvent": func(l *Loop, done *bool) error {
			for !*done {
				if err := l.ProcessOneEvent(); err != nil {
					return err
				}
			}
			return nil
		},
		"Run": func(l *Loop, done *bool) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			err := l.Run(endsWith{ctx, done})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	} {
		done := false
		l, w := busyTurn(t, func() { done = true })
		turns := l.stats.Turns
		if err := drive(l, &done); err != nil {
			t.Fatal(err)
		}
		if l.stats.Turns != turns+1 {
			t.Fatalf("all of that is one turn; %s took %d", name, l.stats.Turns-turns)
		}
		if got := w.seen[:min(len(w.seen), len(want))]; !slices.Equal(got, want) {
			t.Errorf("a turn of %s is what doc.go lists\n got: %q\nwant: %q", name, got, want)
		}
	}
	if events := items[slices.Index(want, "Events")]; !strings.Contains(events, fmt.Sprintf(" %d at most", batchSize)) {
		t.Errorf("the list says how many events a turn takes, %d; it says %q", batchSize, events)
	}
	if spread := items[slices.Index(want, "Spread")]; !strings.Contains(spread, fmt.Sprintf(" %d at most", usualSpread)) {
		t.Errorf("the list says how many functions are spread to a turn, %d; it says %q", usualSpread, spread)
	}
}

// endsWith is a context that is done when a flag is set.
type endsWith struct {
	context.Context
	done *bool
}

func (c endsWith) Err() error {
	if *c.done {
		return context.Canceled
	}
	return nil
}

// raceBuild is whether calls are looked at.
const raceBuild = unsafe.Sizeof(driver{}) != 0

// calls are the rows of the table: what each call came to.
var calls = map[string]func(x *tableFixture) string{
	"Loop.Add":                func(x *tableFixture) string { return outcome(x.l.Add(newFull(8))) },
	"Loop.Remove":             func(x *tableFixture) string { return outcome(x.l.Remove(x.s)) },
	"Loop.ProcessOneEvent":    func(x *tableFixture) string { return outcome(x.l.ProcessOneEvent()) },
	"Loop.TryProcessOneEvent": func(x *tableFixture) string { _, err := x.l.TryProcessOneEvent(); return outcome(err) },
	"Loop.Run": func(x *tableFixture) string {
		done := true
		if err := x.l.Run(endsWith{context.Background(), &done}); err != context.Canceled {
			return outcome(err)
		}
		return "yes"
	},
	"Loop.After": func(x *tableFixture) string { return either(x.l.After(time.Hour, func() {}).Stop(), "stopped") },
	"Loop.Close": func(x *tableFixture) string {
		before := x.l.closed
		return either(x.l.Close() == nil && !before, "nothing")
	},
	"Loop.GetSelectInfo": func(x *tableFixture) string {
		fd, _ := x.l.GetSelectInfo()
		return either(fd >= 0, strconv.Itoa(fd))
	},
	"Loop.NextDeadline": func(x *tableFixture) string { _, ok := x.l.NextDeadline(); return either(ok, "false") },
	"Loop.Now":          func(x *tableFixture) string { return either(!x.l.Now().IsZero(), "zero") },
	"Loop.OnSlow": func(x *tableFixture) string {
		x.l.OnSlow(time.Hour, func(Slow) {})
		return either(x.l.slow != nil, "nothing")
	},
	"Loop.Post": func(x *tableFixture) string { return either(x.l.Post(func() {}), "false") },
	"Loop.SetNotify": func(x *tableFixture) string {
		x.l.SetNotify(func() {})
		return either(x.l.hostNotify != nil, "nothing")
	},
	"Loop.Spread": func(x *tableFixture) string {
		x.l.Spread(func() {})
		return either(x.l.backlog.n > 0, "nothing")
	},
	"Loop.SpreadLimit": func(x *tableFixture) string {
		x.l.SpreadLimit(7)
		return either(x.l.backlog.limit == 7, "nothing")
	},
	"Loop.Stats":  func(x *tableFixture) string { return either(x.l.Stats().Sources == x.l.table.n, "nonsense") },
	"Timer.Reset": func(x *tableFixture) string { return either(x.t.Reset(time.Hour), "false") },
	"Timer.Stop":  func(x *tableFixture) string { return either(x.t.Stop(), "false") },
	"Descriptor.Want": func(x *tableFixture) string {
		x.d.Want(Writable)
		return either(x.d.want == Writable, "nothing")
	},
}

// tableFixture is what the calls are made on.
type tableFixture struct {
	l *Loop
	s *full
	t *Timer
	d *Descriptor
}

func newFixture(t *testing.T) *tableFixture {
	l, _, _ := newFake(t)
	x := &tableFixture{l: l, s: newFull(3), d: FD(4, Readable, nop), t: l.After(time.Hour, func() {})}
	mustAdd(t, l, x.s, x.d)
	return x
}

func either(ok bool, otherwise string) string {
	if ok {
		return "yes"
	}
	return otherwise
}

func outcome(err error) string {
	switch err {
	case nil:
		return "yes"
	case ErrClosed:
		return "ErrClosed"
	case ErrReentrant:
		return "ErrReentrant"
	}
	return err.Error()
}

// in has a call made in a callback, or by something that a callback waits for.
func (x *tableFixture) in(t *testing.T, call func()) {
	ran := false
	x.l.Post(func() {
		call()
		ran = true
	})
	if _, err := x.l.TryProcessOneEvent(); !ran || err != nil && err != ErrClosed {
		t.Fatalf("the callback runs; it did not (%v)", err)
	}
}

// The table of what is legal where is what happens when it is called there.
func TestTheTableIsAsDocumented(t *testing.T) {
	rows := tableRows(t)
	for name, call := range calls {
		row, ok := rows[name]
		if !ok {
			continue // reported below
		}
		before := newFixture(t)
		before.l.Post(func() {})
		inCallback, elsewhere, closed := newFixture(t), newFixture(t), newFixture(t)
		got := []string{call(before), "", row[2], ""}
		inCallback.in(t, func() { got[1] = call(inCallback) })
		if row[2] == "yes" || raceBuild { // otherwise it would be a race
			elsewhere.in(t, func() { got[2] = onAnother(func() string { return call(elsewhere) }) })
		}
		closed.in(t, func() {})
		closed.l.Close()
		got[3] = call(closed)
		if !slices.Equal(got, row) {
			t.Errorf("the table says what %s does\n got: %q\nwant: %q", name, got, row)
		}
	}
	var missing []string
	for _, name := range methods() {
		if rows[name] == nil || calls[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 || len(rows) != len(calls) {
		t.Errorf("the table has all methods, %d, and no others; of %d rows these are missing: %q", len(calls), len(rows), missing)
	}
}

// onAnother makes a call on a goroutine of its own, and says "no" if that panics.
func onAnother(call func() string) (outcome string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				outcome = "no"
			}
		}()
		outcome = call()
	}()
	<-done
	return outcome
}

// tableRows are the rows of the table in doc.go: four cells each.
func tableRows(t *testing.T) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	row := regexp.MustCompile(`(?m)^(\w+\.\w+) +(\S+) +(\S+) +(\S+) +(\S+)$`)
	for _, block := range packageDoc(t, "One goroutine") {
		if code, ok := block.(*comment.Code); ok {
			for _, m := range row.FindAllStringSubmatch(code.Text, -1) {
				rows[m[1]] = m[2:]
			}
		}
	}
	return rows
}

// methods are those that a program may call: all exported ones, but for those of a
// Descriptor that are the loop's to call.
func methods() (names []string) {
	theLoops := reflect.TypeFor[interface {
		Source
		Interester
		Notifier
	}]()
	for _, typ := range []reflect.Type{reflect.TypeFor[*Loop](), reflect.TypeFor[*Timer](), reflect.TypeFor[*Descriptor]()} {
		for m := range typ.Methods() {
			if _, its := theLoops.MethodByName(m.Name); its && typ == reflect.TypeFor[*Descriptor]() {
				continue
			}
			names = append(names, typ.Elem().Name()+"."+m.Name)
		}
	}
	return names
}

// What an adapter for another loop takes is under fifty lines, its example left out.
func TestAdaptersAreShort(t *testing.T) {
	for _, file := range []string{"example_adapter_poll_test.go", "example_adapter_epoll_linux_test.go", "example_adapter_goroutine_test.go"} {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for _, decl := range parsed.Decls {
			f, isFunc := decl.(*ast.FuncDecl)
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.IMPORT || isFunc && strings.HasPrefix(f.Name.Name, "Example") {
				continue
			}
			lines += set.Position(decl.End()).Line - set.Position(decl.Pos()).Line + 1
		}
		if lines >= 50 || lines < 5 {
			t.Errorf("an adapter is under 50 lines; that in %s has %d", file, lines)
		}
	}
}

package conn

import (
	"os"
	"slices"
	"strings"
	"testing"
)

var stateNames = [...]string{greeting: "greeting", ready: "ready", securing: "securing", closing: "closing", closed: "closed", dead: "dead"}

// documentedMoves reads the list of transitions in doc.go.
func documentedMoves(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	moves := map[string][]string{}
	for line := range strings.Lines(string(doc)) {
		text, isCode := strings.CutPrefix(line, "//\t")
		if from := strings.Fields(text); isCode && len(from) > 0 && slices.Contains(stateNames[:], from[0]) {
			moves[from[0]] = from[min(2, len(from)):]
		}
	}
	return moves
}

// Each pair of states is tried, and the documentation says what comes of it.
func TestStateMoves(t *testing.T) {
	documented := documentedMoves(t)
	if len(documented) != len(stateNames) {
		t.Fatalf("doc.go lists every state: %v", documented)
	}
	for from := range stateNames {
		for to := range stateNames {
			legal := func() (ok bool) {
				defer func() { ok = recover() == nil }()
				(&Client{state: state(from)}).setState(state(to))
				return
			}()
			if want := slices.Contains(documented[stateNames[from]], stateNames[to]); legal != want {
				t.Errorf("%s leads to %s: doc.go says %v, the code %v", stateNames[from], stateNames[to], want, legal)
			}
		}
	}
}

package fleet

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// fake claims to have done what it is told to.
type fake struct{ work Work }

func (f fake) Open(Server, int) error { return nil }
func (f fake) Run(Job) (Work, error)  { return f.work, nil }
func (f fake) Idle() error            { return nil }

func TestServeRefusesAnotherCountThanTheJob(t *testing.T) {
	const requests = `{"Op":"open","Conns":5} {"Op":"run","Job":{"Verb":"FETCH","Depth":2,"Batches":3}}`
	tests := []struct {
		name string
		work Work
		ok   bool
	}{
		{"all", Work{Commands: 30, Literals: 30 * 4096}, true},
		{"all, with system calls", Work{Commands: 30, Literals: 30 * 4096, Syscalls: 7}, true},
		{"a command less", Work{Commands: 29, Literals: 30 * 4096}, false},
		{"a command more", Work{Commands: 31, Literals: 30 * 4096}, false},
		{"an octet less", Work{Commands: 30, Literals: 30*4096 - 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Serve(fake{tt.work}, strings.NewReader(requests), &out); err != nil {
				t.Fatal(err)
			}
			var opened, ran Response
			dec := json.NewDecoder(&out)
			if err := dec.Decode(&opened); err != nil || opened.Error != "" {
				t.Fatalf("opening succeeds: got %+v, %v", opened, err)
			}
			if err := dec.Decode(&ran); err != nil || (ran.Error == "") != tt.ok {
				t.Errorf("success is %v: got %+v, %v", tt.ok, ran, err)
			}
		})
	}
}

func TestServeRefusesAnUnknownRequest(t *testing.T) {
	var out bytes.Buffer
	if err := Serve(fake{}, strings.NewReader(`{"Op":"dance"}`), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "dance") {
		t.Errorf("the error names the request: got %s", &out)
	}
}

func TestBatches(t *testing.T) {
	tests := []struct{ total, conns, depth, want int }{
		{1, 1, 1, 1},
		{100, 10, 1, 10},
		{101, 10, 1, 11},
		{100, 3, 16, 3},
		{100, 10000, 16, 1},
	}
	for _, tt := range tests {
		if got := Batches(tt.total, tt.conns, tt.depth); got != tt.want {
			t.Errorf("%d commands are %d batches of %d on %d connections: got %d", tt.total, tt.want, tt.depth, tt.conns, got)
		}
	}
}

//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

func TestMakeDir(t *testing.T) {
	parent, err := os.MkdirTemp("/tmp", "parent-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(parent)
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := makeDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("servers that run as another user must be able to enter the directory: %v, %v", info.Mode(), err)
	}
	os.Remove(dir)

	for name, why := range map[string]string{
		"with blank":            "blanks end words of the servers' configuration",
		`with"quote`:            "quotes do, too",
		strings.Repeat("x", 60): "the names of unix sockets are short",
		"missing/parent":        "it does not exist",
	} {
		bad := filepath.Join(parent, name)
		if name != "missing/parent" {
			if err := os.Mkdir(bad, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if dir, err := makeDir(bad); err == nil {
			t.Errorf("a directory must be refused when %s: %s", why, dir)
		}
		if left, _ := os.ReadDir(bad); len(left) > 0 {
			t.Errorf("a directory that is refused must not be left behind: %s", left[0])
		}
	}

	private := filepath.Join(parent, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err = makeDir(private)
	if root := os.Geteuid() == 0; (err != nil) != root {
		t.Errorf("a directory that only its owner can enter must be refused if, and only if, servers run as another user: %s, %v", dir, err)
	}
}

func TestWriteMessages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "messages")
	messages := mailgen.Messages(5)
	if err := writeMessages(dir, messages); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if data, err := os.ReadFile(filepath.Join(dir, m.Name+".eml")); !bytes.Equal(data, m.Data) {
			t.Errorf("a file must hold the message's bytes: %s: %q, %v", m.Name, data, err)
		}
	}
}

func TestWriteMaildir(t *testing.T) {
	dir := t.TempDir()
	messages := mailgen.Messages(30)
	if err := writeMaildir(dir, messages, "Some box"); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"cur", "new", "tmp", ".Some box/cur", ".Some box/new", ".Some box/tmp"} {
		if info, err := os.Stat(filepath.Join(dir, sub)); err != nil || !info.IsDir() {
			t.Errorf("a Maildir must have its directories: %s: %v", sub, err)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "cur")) // in the order of names, as servers number them
	if err != nil || len(files) != len(messages) {
		t.Fatalf("each message must have a file: %d, %v", len(files), err)
	}
	flags := make(map[string]bool)
	for i, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, "cur", file.Name()))
		if !bytes.Equal(data, messages[i].Data) {
			t.Errorf("the names must be in the order of the messages: %s is not message %d (%v)", file.Name(), i+1, err)
		}
		if info, err := file.Info(); err != nil || !info.ModTime().Equal(mailgen.Date(i+1)) {
			t.Errorf("a file's time must be the internal date: %s: %v, %v", file.Name(), info.ModTime(), err)
		}
		_, set, found := strings.Cut(file.Name(), ":2,")
		if !found {
			t.Errorf("a name in cur must end in flags: %s", file.Name())
		}
		flags[set] = true
	}
	if len(flags) < 5 {
		t.Errorf("flags must vary: %v", flags)
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		text  string
		lines int
		want  string
	}{
		{"", 3, ""},
		{"a\nb\nc\n", 3, "a\nb\nc\n"},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nunfinished", 2, "a\nb\nunfinished"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := tail(file, c.lines); got != c.want {
			t.Errorf("tail must return the last %d lines: %q, want %q", c.lines, got, c.want)
		}
	}
	if got := tail(file+".missing", 3); !strings.Contains(got, "no such file") {
		t.Errorf("tail must say why there is nothing to show: %q", got)
	}
}

//go:build unix

package krb5

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO that nobody writes to is refused at once: this test would never end.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	_, ccache := LoadCCache(Setting{Value: path}, Principal{})
	_, keytab := LoadKeytab(Setting{Value: path})
	_, config := LoadConfig(path, nil)
	for _, err := range []error{ccache, keytab, config} {
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadFile || !errors.Is(err, errNotRegular) {
			t.Errorf("a FIFO is no file\n got: %v", err)
		}
	}
}

// What may not be read is an error that says so, but of a list of configurations the
// others do.
func TestPermission(t *testing.T) {
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good"), "[libdefaults]\ndefault_realm = A\n")
	path := write(t, filepath.Join(dir, "secret"), "[libdefaults]\ndefault_realm = B\n")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("root may read everything")
	}
	_, ccache := LoadCCache(Setting{Value: path}, Principal{})
	_, keytab := LoadKeytab(Setting{Value: path})
	_, config := LoadConfig(path, noEnv)
	for _, err := range []error{ccache, keytab, config} {
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadFile || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("it may not be read\n got: %v", err)
		}
	}
	if c, err := LoadConfig(path+":"+good, noEnv); err != nil || c.DefaultRealm != "A" || len(c.Files) != 1 {
		t.Errorf("the other of the list is read\n got: %v", err)
	}
}

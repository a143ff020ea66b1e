//go:build linux

package main

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Cyrus logs by syslog(3) alone, and there may be no syslog here, or one that
// belongs to the machine. So it gets another syslog(3), which writes to a file,
// where a C compiler can make it.
//
//go:embed syslog/syslog.c
var syslogSource []byte

const noSyslog = "Cyrus IMAP logs to the machine's syslog; where there is a C compiler, it logs to this file instead.\n"

// syslogLibrary compiles the library, unless that has been done before, and
// returns its file.
func syslogLibrary() (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, fmt.Sprintf("syslog-%x.so", sha256.Sum256(syslogSource)))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	work, err := os.MkdirTemp(dir, "compiling-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	source, library := filepath.Join(work, "syslog.c"), filepath.Join(work, "syslog.so")
	if err := os.WriteFile(source, syslogSource, 0o644); err != nil {
		return "", err
	}
	if output, err := exec.Command("cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cc: %w: %s", err, output)
	}
	return file, os.Rename(library, file)
}

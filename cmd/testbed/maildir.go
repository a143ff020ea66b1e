//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

// mailFlags are the flags that messages have in turn, as Maildir has them: in the
// order of the alphabet.
var mailFlags = []string{"", "S", "RS", "FS", "D", "FRS"}

// writeMaildir makes a Maildir whose INBOX holds messages in their order, with
// flags that vary and internal dates that are those of the Date fields, and which
// has some more mailboxes, empty, named as they are in IMAP.
func writeMaildir(dir string, messages []mailgen.Message, mailboxes ...string) error {
	folders := []string{dir}
	for _, name := range mailboxes {
		folders = append(folders, filepath.Join(dir, "."+name))
	}
	for _, folder := range folders {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
				return err
			}
		}
	}
	for i, m := range messages {
		date := mailgen.Date(i + 1)
		name := fmt.Sprintf("%d.M%06dP1.testbed,S=%d:2,%s", date.Unix(), i+1, len(m.Data), mailFlags[i%len(mailFlags)])
		file := filepath.Join(dir, "cur", name)
		if err := os.WriteFile(file, m.Data, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(file, date, date); err != nil {
			return err
		}
	}
	return nil
}

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/imclient/imclient/cmd/internal/mailgen"
)

// fillCyrus makes the INBOX of the reading account, with messages in it, and that
// of the other one. Cyrus would make them at the first login, for the load
// accounts, too, but where it does that it ends the session of who logs in as
// anonymous, at least until 3.6.
func fillCyrus(ctx context.Context, address string, messages []mailgen.Message) error {
	create := fmt.Appendf(nil, "1 LOGIN %s %s\r\n2 CREATE user.%s\r\n3 CREATE user.%s\r\n4 LOGOUT\r\n",
		adminUser, adminPassword, readUser, otherUser)
	if err := sendCommands(ctx, address, create); err != nil {
		return err
	}
	return sendCommands(ctx, address, appendCommands(messages))
}

// appendCommands are the commands that append messages, with the flags and the
// internal dates that writeMaildir gives them. One APPEND for all is ten times as
// fast as one for each (RFC 3502).
func appendCommands(messages []mailgen.Message) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "1 LOGIN %s %s\r\n2 APPEND INBOX", readUser, readPassword)
	for i, m := range messages {
		date := mailgen.Date(i + 1).Format("02-Jan-2006 15:04:05 -0700")
		fmt.Fprintf(&b, " (%s) \"%s\" {%d+}\r\n%s", systemFlags(mailFlags[i%len(mailFlags)]), date, len(m.Data), m.Data)
	}
	b.WriteString("\r\n3 LOGOUT\r\n")
	return b.Bytes()
}

// sendCommands sends commands, the last of which is LOGOUT, and reads the answers,
// all of which must be OK.
func sendCommands(ctx context.Context, address string, commands []byte) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(commands); err != nil {
		return err
	}
	bye := false
	answers := bufio.NewScanner(conn)
	for answers.Scan() {
		line := answers.Text()
		switch {
		case strings.HasPrefix(line, "* "):
			bye = bye || strings.HasPrefix(line, "* BYE")
		case !strings.Contains(line, " OK "):
			return fmt.Errorf("the mail cannot be delivered: %q", line)
		case bye: // LOGOUT's own answer
			return nil
		}
	}
	return fmt.Errorf("the mail cannot be delivered: the connection has ended: %w", cmp.Or(answers.Err(), io.EOF))
}

// systemFlags are a Maildir's flags in IMAP's words.
func systemFlags(maildir string) string {
	words := map[rune]string{'D': `\Draft`, 'F': `\Flagged`, 'R': `\Answered`, 'S': `\Seen`}
	var flags []string
	for _, letter := range maildir {
		flags = append(flags, words[letter])
	}
	return strings.Join(flags, " ")
}

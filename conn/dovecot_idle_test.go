package conn_test

import (
	"fmt"
	"testing"

	"github.com/imclient/imclient/conn"
)

func TestDovecotIdle(t *testing.T) {
	user, password := loadAccount(t, idleAccount)
	watcher, writer := login(t, user, password), login(t, user, password)
	mailbox := watcher.mailbox("idle")
	watcher.send("SELECT %s", mailbox).ok()
	var exists int64
	watcher.on("EXISTS", conn.CallbackNumbered, func(r *conn.Reply) { exists = r.MsgNo })

	for round := int64(1); round <= 3; round++ {
		idling := false
		idle := watcher.sendCommand(conn.Command{
			OnContinue: func(*conn.Client, any, *conn.Reply) { idling = true },
		}, "IDLE")
		behind := watcher.send("NOOP")
		watcher.until(func() bool { return idling })

		mail := fmt.Appendf(nil, "Subject: round %d\r\n\r\nwake up", round)
		uid, _ := appendUID(t, writer.send("APPEND %s %l", mailbox, mail).ok())
		watcher.until(func() bool { return exists == round })
		if idle.reply != nil || behind.reply != nil {
			t.Error("an IDLE lasts until DONE, and a command behind it waits")
		}
		if err := watcher.Continue("DONE"); err != nil {
			t.Errorf("Continue ends an IDLE: %v", err)
		}
		behind.ok()
		if idle.reply == nil {
			t.Error("an IDLE completes before the command behind it")
		}
		idle.ok()
		watcher.stored("the message that woke", uid, "BODY[]", mail)
	}
}

// The same in one loop, where nobody waits for anybody: the writer is told from
// the watcher's callbacks, and the other way round.
func TestDovecotIdleInLoop(t *testing.T) {
	const rounds = 3
	user, password := loadAccount(t, idleAccount)
	address := fromBed(t, "DOVECOT")
	mailbox := login(t, user, password).mailbox("idle in a loop")
	before := descriptors(t)

	f := newFleet(t)
	var fetched int
	var writer *member
	watch := func(m *member) {
		m.idle(func() {
			writer.send(nil, "APPEND %s %l", mailbox, []byte("Subject: wake up\r\n\r\n"))
		}, func() {
			m.send(nil, "FETCH %d (FLAGS BODY.PEEK[])", fetched+1)
		})
	}
	f.on("EXISTS", conn.CallbackNumbered, func(m *member, r *conn.Reply) {
		if m.idling {
			m.done()
		}
	})
	f.on("FETCH", conn.CallbackNumbered, func(m *member, r *conn.Reply) {
		got := parseFetch(t, r)
		sameBytes(t, "the message that woke can be fetched", got.joined(t, "BODY[]"), []byte("Subject: wake up\r\n\r\n"))
		if fetched++; fetched < rounds {
			watch(m)
			return
		}
		m.send(nil, "LOGOUT")
		writer.send(nil, "LOGOUT")
	})
	writer = f.connect(address, func(m *member) {
		m.send(func() {
			f.connect(address, func(m *member) {
				m.send(nil, "LOGIN %s %p", user, password)
				m.send(nil, "SELECT %s", mailbox)
				watch(m)
			})
		}, "LOGIN %s %p", user, password)
	})
	f.run()
	if fetched != rounds {
		t.Errorf("a message wakes the watcher in each round: %d of %d", fetched, rounds)
	}
	givenBack(t, before)
}

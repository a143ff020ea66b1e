package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/xdg-go/scram"
)

// serverEnv makes this executable the embedded server instead of the client.
const serverEnv = "IMLOAD_EMBEDDED_SERVER"

// serverConfig is what the parent writes to the server's stdin, as one line.
type serverConfig struct {
	Messages     int    // in each mailbox
	Password     string // of all users, whose names are free
	Token        string // the same, for who logs in by one
	TLS          tlsMode
	Certificates bool // clients have one, and it is asked for
}

// serverReady is what the server writes to its stdout when it listens, as one line.
type serverReady struct {
	Address   string
	Authority []byte // that vouches for it: a certificate, DER; nil: there is no TLS
	Client    []byte // a certificate that it takes from clients, with its key, PEM; nil: there is no TLS
}

// serveMain is the child. It ends when stdin does, which it does at the latest when
// the parent dies.
func serveMain(stdin io.Reader, stdout io.Writer) int {
	// The server makes garbage with every command, and its time is the load's.
	debug.SetGCPercent(400)
	in := bufio.NewReader(stdin)
	var config serverConfig
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &config)
	}
	if err == nil {
		err = serve(config, stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "imload: embedded server:", err)
		return exitFailed
	}
	_, _ = io.Copy(io.Discard, in)
	return exitOK
}

// serve listens on loopback and answers in the background.
func serve(config serverConfig, stdout io.Writer) error {
	store, err := newMailStore(config)
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready := serverReady{Address: tcp.Addr().String()}
	listener := net.Listener(corkedListener{tcp})
	var secure *tls.Config // for STARTTLS
	if config.TLS != tlsNever {
		certificates, err := certify(tcp.Addr().(*net.TCPAddr).IP)
		if err != nil {
			return err
		}
		ready.Authority, ready.Client = certificates.authority.Raw, certificates.client
		secure = certificates.config(config.Certificates)
	}
	if config.TLS == tlsFirst {
		listener, secure = tls.NewListener(listener, secure), nil
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &mailSession{conn: c, store: store}, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapLiteralPlus: {}, imap.CapUIDPlus: {}},
		Logger:       log.New(panicsOnly{}, "", 0),
		TLSConfig:    secure,
		InsecureAuth: config.TLS == tlsNever,
	})
	go func() {
		if err := server.Serve(listener); err != nil {
			fmt.Fprintln(os.Stderr, "imload: embedded server:", err)
			os.Exit(exitFailed)
		}
	}()
	return json.NewEncoder(stdout).Encode(ready)
}

// panicsOnly keeps the server's log quiet about connections that end, which
// they do; its own faults are another matter.
type panicsOnly struct{}

func (panicsOnly) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		return os.Stderr.Write(line)
	}
	return len(line), nil
}

// mailStore has one mailbox per user, made when the user first logs in. All are
// mailboxes of one account of go-imap's, since only there can messages be
// copied without copying their bytes: a server for thousands of connections
// starts at once and stays small.
type mailStore struct {
	password string
	token    string
	scram    map[string]*scram.Server
	account  *imapmemserver.User
	template *imapmemserver.UserSession // the filled mailbox, selected

	mutex sync.Mutex
	users map[string]*idlers // by name
}

const (
	templateName = "template"
	userPrefix   = "user." // of the mailbox named like a user
)

func newMailStore(config serverConfig) (*mailStore, error) {
	known, err := scramServers(config.Password)
	if err != nil {
		return nil, err
	}
	s := &mailStore{
		password: config.Password,
		token:    config.Token,
		scram:    known,
		account:  imapmemserver.NewUser("", ""),
		users:    map[string]*idlers{},
	}
	if err := s.account.Create(templateName, nil); err != nil {
		return nil, err
	}
	for _, mail := range embeddedMails(config.Messages) {
		if _, err := s.account.Append(templateName, memoryLiteral{bytes.NewReader(mail)}, &imap.AppendOptions{}); err != nil {
			return nil, err
		}
	}
	s.template = imapmemserver.NewUserSession(s.account)
	_, err = s.template.Select(templateName, &imap.SelectOptions{})
	return s, err
}

type memoryLiteral struct{ *bytes.Reader }

func (l memoryLiteral) Size() int64 { return int64(l.Reader.Len()) }

// user returns those who IDLE in the mailbox of name, which it makes and fills
// at first.
func (s *mailStore) user(name string) (*idlers, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.users[name]; known != nil {
		return known, nil
	}
	mailbox := userPrefix + name
	if err := s.account.Create(mailbox, nil); err != nil {
		return nil, err
	}
	all := imap.SeqSet{{Start: 1, Stop: 0}}
	if _, err := s.template.Copy(all, mailbox); err != nil {
		return nil, err
	}
	s.users[name] = &idlers{waiting: map[chan<- struct{}]struct{}{}}
	return s.users[name], nil
}

// mailSession is one connection. To its client the user's mailbox is INBOX, and
// there is no other.
type mailSession struct {
	*imapmemserver.UserSession // nil before login
	conn                       *imapserver.Conn
	store                      *mailStore
	name                       string // of the user
	idlers                     *idlers
}

func (s *mailSession) Login(name, password string) error {
	if password != s.store.password {
		return imapserver.ErrAuthFailed
	}
	return s.enter(name)
}

// enter is a login that has been checked.
func (s *mailSession) enter(name string) error {
	idlers, err := s.store.user(name)
	if err != nil {
		return err
	}
	s.name, s.idlers = name, idlers
	s.UserSession = imapmemserver.NewUserSession(s.store.account)
	return nil
}

func (s *mailSession) mailbox(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return userPrefix + s.name
	}
	return ""
}

func (s *mailSession) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	return s.UserSession.Select(s.mailbox(name), options)
}

func (s *mailSession) Append(name string, mail imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	defer s.idlers.wake()
	return s.UserSession.Append(s.mailbox(name), mail, options)
}

func (s *mailSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions) error {
	defer s.idlers.wake()
	return s.UserSession.Store(w, set, flags, options)
}

func (s *mailSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	defer s.idlers.wake()
	return s.UserSession.Expunge(w, uids)
}

// Idle stands in for go-imap's own, which misses what happens between the "+"
// and the moment it starts to listen: here a look at the mailbox follows the
// registration.
func (s *mailSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	changed := make(chan struct{}, 1)
	s.idlers.join(changed)
	defer s.idlers.leave(changed)
	for {
		if err := s.UserSession.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// idlers are the connections that IDLE in one mailbox.
type idlers struct {
	mutex   sync.Mutex
	waiting map[chan<- struct{}]struct{} // with room for one: a wake before is as good as a wake now
}

func (i *idlers) join(changed chan<- struct{}) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.waiting[changed] = struct{}{}
}

func (i *idlers) leave(changed chan<- struct{}) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	delete(i.waiting, changed)
}

func (i *idlers) wake() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for changed := range i.waiting {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

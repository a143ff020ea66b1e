//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

// The realms. The users are at home. From there one gets to the far realm only
// through the middle one, which krb5.conf has to say, and to the deep one only
// through the one that its name says.
const (
	homeRealm   = "IMCLIENT.TEST"
	middleRealm = "MIDDLE.TEST"
	farRealm    = "FAR.TEST"
	subRealm    = "SUB.IMCLIENT.TEST"
	deepRealm   = "DEEP.SUB.IMCLIENT.TEST"
)

var realms = []string{homeRealm, middleRealm, farRealm, subRealm, deepRealm}

// Realms is for the templates.
func (k *kdc) Realms() []string { return realms }

// Database is the file of a realm's principals, and the beginning of the names of
// some more.
func (k *kdc) Database(realm string) string { return k.file(realm + ".db") }

// trusts are pairs of realms: who is in the first is believed by the second.
var trusts = [][2]string{{homeRealm, middleRealm}, {middleRealm, farRealm}, {homeRealm, subRealm}, {subRealm, deepRealm}}

// Whose tickets end after ten seconds; nobody's mail is theirs. What realms share
// is told by nobody.
const (
	shortUser, shortPassword = "short", "short-secret"
	trustPassword            = "trust-secret"
)

// Hosts whose services are in other realms.
const (
	farHost  = "host.far.test"
	deepHost = "host.deep.test"
)

// encTypes are the encryption types, as tests call them and as MIT does. A service
// of the host of that name, below .test, has no other keys and gets no other
// session keys.
var encTypes = []struct {
	name, mit string
	number    int32 // RFC 3961's registry
}{
	{"aes256", "aes256-cts-hmac-sha1-96", 18},
	{"aes128", "aes128-cts-hmac-sha1-96", 17},
	{"aes256sha2", "aes256-cts-hmac-sha384-192", 20},
	{"aes128sha2", "aes128-cts-hmac-sha256-128", 19},
	{"rc4", "arcfour-hmac", 23},
	{"camellia256", "camellia256-cts-cmac", 26},
}

// createRealms makes the databases with all principals and the keytabs.
func (k *kdc) createRealms() error {
	failures := make(chan error, len(realms))
	for _, realm := range realms {
		go func() { failures <- k.createRealm(realm) }()
	}
	var err error
	for range realms {
		err = errors.Join(err, <-failures)
	}
	return err
}

func (k *kdc) createRealm(realm string) error {
	if err := k.run(kdbProgram, "", "-r", realm, "create", "-s", "-P", "master-secret"); err != nil {
		return err
	}
	return k.run(kadminProgram, k.kadminCommands(realm), "-r", realm)
}

// kadminCommands are the commands that make a realm's principals.
func (k *kdc) kadminCommands(realm string) string {
	var commands []string
	for _, t := range trusts {
		if slices.Contains(t[:], realm) {
			krbtgt := fmt.Sprintf("krbtgt/%s@%s", t[1], t[0])
			commands = append(commands, addUser(krbtgt, trustPassword, "-e "+encTypes[0].mit+":normal"))
		}
	}
	switch realm {
	case homeRealm:
		commands = append(append(commands, k.users()...), k.homeServices()...)
	case farRealm:
		commands = append(commands, k.service(farHost, aesOnly)...)
	case deepRealm:
		commands = append(commands, k.service(deepHost, aesOnly)...)
	}
	return strings.Join(commands, "\n") + "\n"
}

// users makes the users. The other one gets a ticket without showing first that
// he knows his password, as is usual where nobody has thought of it.
func (k *kdc) users() []string {
	return []string{
		addUser(readUser, readPassword, "+requires_preauth -e "+keysOf(0, len(encTypes))),
		addUser(otherUser, otherPassword, "-requires_preauth"),
		addUser(adminUser, adminPassword, "+requires_preauth"),
		addUser(shortUser, shortPassword, `+requires_preauth -maxlife "10 sec"`),
		"ktadd -norandkey -k " + k.ClientKeytab() + " " + readUser,
	}
}

// homeServices makes the services of the realm at home. The last one is one of
// which the servers do not know.
func (k *kdc) homeServices() []string {
	commands := append(k.service("localhost", aesOnly), k.service(plainHost, aesOnly)...)
	for i, e := range encTypes {
		host := e.name + ".test"
		commands = append(commands, k.service(host, keysOf(i, i+1))...)
		commands = append(commands, fmt.Sprintf("setstr imap/%s session_enctypes %s", host, e.mit))
	}
	return append(commands, "addprinc -clearpolicy -randkey imap/nokeytab.test")
}

// service makes the service of a host, which the servers play.
func (k *kdc) service(host, keys string) []string {
	return []string{
		fmt.Sprintf("addprinc -clearpolicy -randkey -e %s imap/%s", keys, host),
		fmt.Sprintf("ktadd -norandkey -k %s imap/%s", k.ServiceKeytab(), host),
	}
}

func addUser(name, password, options string) string {
	quoted := `"` + strings.ReplaceAll(password, `"`, `""`) + `"`
	return fmt.Sprintf("addprinc -clearpolicy -pw %s %s %s", quoted, options, name)
}

// aesOnly are the keys that a service has which nobody has thought about.
var aesOnly = keysOf(0, 4)

// keysOf lists encryption types for kadmin.local.
func keysOf(from, to int) string {
	var keys []string
	for _, e := range encTypes[from:to] {
		keys = append(keys, e.mit+":normal")
	}
	return strings.Join(keys, ",")
}

// run runs a program of MIT's, all of whose complaints are errors: kadmin.local
// goes on after each, and says in the end that all was well.
func (k *kdc) run(program, input string, args ...string) error {
	var complaints bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdin, cmd.Stderr = k.environ(), strings.NewReader(input), &complaints
	err := cmd.Run()
	if err == nil && complaints.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(program), cmp.Or(err, errors.New("it complains")), &complaints)
}

// emptyKeytab is the head of a keytab, to which several kadmin.local can append at
// once. They lock it, but not against each other's making it.
var emptyKeytab = []byte{5, 2}

// splitKeytab writes those keys of a keytab that are of one encryption type into a
// keytab of their own, for each type: kadmin.local does that only where it makes
// other keys.
func splitKeytab(file, dir string) error {
	all, err := keytab.Load(file)
	if err != nil {
		return err
	}
	for _, e := range encTypes {
		one := keytab.New()
		for _, entry := range all.Entries {
			if entry.Key.KeyType == e.number {
				one.Entries = append(one.Entries, entry)
			}
		}
		data, err := one.Marshal()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, e.name+".keytab"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

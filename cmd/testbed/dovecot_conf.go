//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"
)

// users returns the file of those accounts that are listed, with all that the
// session of whoever acts for them needs. The mail that is there to be read is in a
// Maildir, as it was delivered; see dovecotConf for where tests write.
func (d *dovecot) users() string {
	maildir := "userdb_mail=maildir:~/Maildir"
	if d.V24 {
		maildir = "userdb_mail_driver=maildir userdb_mail_path=~/Maildir"
	}
	mayAct := "k5principals=" + principal(readUser) + "," + principal(adminUser) + " "
	var file strings.Builder
	for _, account := range []struct{ user, password, fields string }{
		{readUser, "{PLAIN}" + readPassword, mayAct + maildir},
		{otherUser, "{PLAIN}" + otherPassword, ""},
		{adminUser, "{PLAIN}" + adminPassword, ""},
		{scramUser, scramSHA256(scramPassword, "salt of "+scramUser), ""},
	} {
		home := filepath.Join(d.Dir, "home", account.user)
		fmt.Fprintf(&file, "%s:%s:%d:%d::%s::%s\n", account.user, account.password, d.UID, d.GID, home, account.fields)
	}
	return file.String()
}

// scramSHA256 is a password as Dovecot keeps it for SCRAM: the salt and the iteration
// count are then the same at each login, which they are not where it knows the
// password itself.
func scramSHA256(password, salt string) string {
	const iterations = 4096
	salted, err := pbkdf2.Key(sha256.New, password, []byte(salt), iterations, sha256.Size)
	if err != nil {
		panic(err) // it is about lengths, which are none of those that fail
	}
	keyed := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	base64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("{SCRAM-SHA-256}%d,%s,%s,%s", iterations, base64([]byte(salt)), base64(stored[:]), base64(keyed("Server Key")))
}

// dovecotOAuthConf says, for Dovecot 2.3, how to check bearer tokens.
var dovecotOAuthConf = template.Must(template.New("oauth2.conf").Parse(`introspection_mode = local
local_validation_key_dict = fs:posix:prefix={{.KeyDir}}/
username_attribute = sub
issuers = ` + tokenIssuerName + `
`))

// dovecotConf is for Dovecot 2.3 and for 2.4, which says many things in other
// words and refuses the old ones.
var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
{{- if .V24}}
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
{{- end}}
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/run/state
log_path = {{.Dir}}/dovecot.log
instance_name = testbed-{{.Port}}
protocols = imap
listen = ` + strings.Join(dovecotHosts, ", ") + `

# Without root all processes run as one user and none is put into a chroot.
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
first_valid_uid = 1
first_valid_gid = 1

default_process_limit = 1000
default_client_limit = 16000
mail_max_userip_connections = 16000

# What tests write into is made at the first SELECT, and sdbox makes it fastest.
# With a list index, processes that make an INBOX at the same time run into
# "Resource deadlock avoided", abort, and take the sessions of a hundred along.
mail_fsync = never
mailbox_list_index = no
mailbox_idle_check_interval = 2s

# With a realm DIGEST-MD5 makes users of the form user@realm; auth_username_format
# takes the realm off again.
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 gssapi external anonymous oauthbearer xoauth2
auth_anonymous_username = anonymous
auth_realms = localhost
auth_failure_delay = 0
auth_krb5_keytab = {{.Krb5.ServiceKeytab}}
auth_gssapi_hostname = "$ALL"

# Where clients are asked for a certificate, no session can be resumed: OpenSSL
# wants a "session id context" for that, which Dovecot does not set, and breaks
# the handshake off. There, the name in a certificate replaces that in LOGIN.
ssl = yes
ssl_min_protocol = TLSv1.2
auth_ssl_username_from_cert = yes

{{- if .V24}}
ssl_server_cert_file = {{.TLSDir}}/` + plainHost + `.pem
ssl_server_key_file = {{.TLSDir}}/` + plainHost + `.key
ssl_server_ca_file = {{.TLSDir}}/ca.pem
ssl_server_require_crl = no
local ` + clientCertHost + ` {
  ssl_server_ca_file = {{.TLSDir}}/ca.pem
  ssl_server_request_client_cert = yes
}
{{- range .FaultyHosts}}
local {{.}} {
  ssl_server_cert_file = {{$.TLSDir}}/{{.}}.pem
  ssl_server_key_file = {{$.TLSDir}}/{{.}}.key
}
{{- end}}
{{- else}}
ssl_cert = <{{.TLSDir}}/` + plainHost + `.pem
ssl_key = <{{.TLSDir}}/` + plainHost + `.key
ssl_ca = <{{.TLSDir}}/ca.pem
ssl_require_crl = no
local ` + clientCertHost + ` {
  ssl_verify_client_cert = yes
}
{{- range .FaultyHosts}}
local {{.}} {
  ssl_cert = <{{$.TLSDir}}/{{.}}.pem
  ssl_key = <{{$.TLSDir}}/{{.}}.key
}
{{- end}}
{{- end}}

{{- if .V24}}
import_environment {
{{- range .Krb5.Environ .Dir}}
  {{.}}
{{- end}}
}
auth_username_format = %{user | username | lower}
mail_driver = sdbox
mail_path = ~/mail
auth_allow_cleartext = yes
local ` + disabledHost + ` {
  auth_allow_cleartext = no
}
oauth2 {
  introspection_mode = local
  username_attribute = sub
  issuers = ` + tokenIssuerName + `
  oauth2_local_validation {
    dict fs {
      fs posix {
        prefix = {{.KeyDir}}/
      }
    }
  }
}
passdb external {
  driver = static
  mechanisms_filter = external
  fields {
    nopassword = yes
  }
}
passdb admins {
  driver = passwd-file
  passwd_file_path = {{.Dir}}/admins
  master = yes
}
passdb static {
  username_filter = ` + loadPrefix + `*
  password = ` + loadPassword + `
}
passdb passwd-file {
  passwd_file_path = {{.Dir}}/users
}
userdb passwd-file {
  passwd_file_path = {{.Dir}}/users
}
userdb static {
  fields {
    uid = {{.UID}}
    gid = {{.GID}}
    home = {{.Dir}}/home/%{user}
  }
}
{{- else}}
import_environment = $import_environment{{range .Krb5.Environ .Dir}} {{.}}{{end}}
auth_username_format = %Ln
mail_location = sdbox:~/mail
disable_plaintext_auth = no
local ` + disabledHost + ` {
  disable_plaintext_auth = yes
}
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {{.OAuthFile}}
}
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
passdb {
  driver = passwd-file
  args = {{.Dir}}/admins
  master = yes
}
passdb {
  driver = static
  username_filter = ` + loadPrefix + `*
  args = password=` + loadPassword + `
}
passdb {
  driver = passwd-file
  args = {{.Dir}}/users
}
userdb {
  driver = passwd-file
  args = {{.Dir}}/users
}
userdb {
  driver = static
  args = uid={{.UID}} gid={{.GID}} home={{.Dir}}/home/%u
}
{{- end}}

# One process greets and logs in all clients, as a TLS session can be resumed only
# with the process that has given the ticket. It keeps two descriptors and 80 KiB
# for each client that uses TLS. After the login 100 clients share a process. With
# a process for each, as is usual, 2,000 logins take ten times as long.
service imap-login {
  chroot =
  {{if .V24}}service_restart_request_count = unlimited{{else}}service_count = 0{{end}}
  process_min_avail = 1
  process_limit = 1
  client_limit = 16000
  vsz_limit = 2G
  inet_listener imap {
    port = {{.Port}}
  }
  inet_listener imaps {
    port = {{.TLSPort}}
    ssl = yes
  }
}
service imap {
  client_limit = 100
  {{if .V24}}service_restart_request_count = unlimited{{else}}service_count = 0{{end}}
  process_min_avail = 2
}
service anvil {
  chroot =
  # No growing delay after failed logins from one address.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`))

//go:build linux

package main

import (
	"fmt"
	"strings"
	"text/template"
)

// config returns the configuration file.
func (d *dovecot) config() string {
	var text strings.Builder
	if err := dovecotConf.Execute(&text, d); err != nil {
		panic(err) // the template does not fit the type
	}
	return text.String()
}

// users returns the file of those accounts that are listed. The mail that is
// there to be read is in a Maildir, as it was delivered; see dovecotConf for
// where tests write.
func (d *dovecot) users() string {
	maildir := "userdb_mail=maildir:~/Maildir"
	if d.V24 {
		maildir = "userdb_mail_driver=maildir userdb_mail_path=~/Maildir"
	}
	return fmt.Sprintf("%s:{PLAIN}%s::::::%s\n%s:{PLAIN}%s\n", readUser, readPassword, maildir, otherUser, otherPassword)
}

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
listen = ` + plainHost + `, ` + disabledHost + `
ssl = no

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
auth_mechanisms = plain login
auth_failure_delay = 0

{{- if .V24}}
mail_driver = sdbox
mail_path = ~/mail
auth_allow_cleartext = yes
local ` + disabledHost + ` {
  auth_allow_cleartext = no
}
passdb static {
  username_filter = ` + loadPrefix + `*
  password = ` + loadPassword + `
}
passdb passwd-file {
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
mail_location = sdbox:~/mail
disable_plaintext_auth = no
local ` + disabledHost + ` {
  disable_plaintext_auth = yes
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
  driver = static
  args = uid={{.UID}} gid={{.GID}} home={{.Dir}}/home/%u
}
{{- end}}

# Two processes greet and log in all clients; after that 100 clients share a
# process. With a process for each, as is usual, 2,000 logins take ten times as
# long.
service imap-login {
  chroot =
  {{if .V24}}service_restart_request_count = unlimited{{else}}service_count = 0{{end}}
  process_min_avail = 2
  process_limit = 2
  client_limit = 16000
  inet_listener imap {
    port = {{.Port}}
  }
  inet_listener imaps {
    port = 0
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

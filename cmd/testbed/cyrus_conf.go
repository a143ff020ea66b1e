//go:build linux

package main

import (
	"fmt"
	"strings"
	"text/template"
)

// cyrusMechanisms are the ones that Cyrus offers. Over TLS the -PLUS forms of
// SCRAM and GSSAPI come with them; EXTERNAL is offered to who shows a certificate.
const cyrusMechanisms = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 GSSAPI EXTERNAL ANONYMOUS"

// Passwords is the SQL query that finds a password: the accounts are in the query
// and not in a table, so that as many as one likes can be had without a list.
// SASL replaces %u by the user, quoted, and %p by the property that it looks for.
func (c *cyrus) Passwords() string {
	return fmt.Sprintf("SELECT CASE '%%u' WHEN %s THEN %s WHEN %s THEN %s WHEN %s THEN %s"+
		" ELSE CASE substr('%%u', 1, %d) WHEN %s THEN %s END END WHERE '%%p' = 'userPassword'",
		sqlString(readUser), sqlString(readPassword), sqlString(otherUser), sqlString(otherPassword),
		sqlString(adminUser), sqlString(adminPassword), len(loadPrefix), sqlString(loadPrefix), sqlString(loadPassword))
}

func sqlString(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// cyrusIMAPDConf is what all programs of Cyrus read. Mailboxes have the names that
// they have in Dovecot.
var cyrusIMAPDConf = template.Must(template.New("imapd.conf").Parse(`configdirectory: {{.Dir}}/conf
defaultpartition: default
partition-default: {{.Dir}}/spool
temp_path: {{.Dir}}/tmp
sievedir: {{.Dir}}/sieve
cyrus_user: {{.User}}
servername: localhost
admins: ` + adminUser + `
altnamespace: yes
unixhierarchysep: no
allowanonymouslogin: yes
allowplaintext: yes
disabled_allowplaintext: no
allowstarttls: yes
failedloginpause: 0
munge8bit: no
imapidlepoll: 1
sasl_mech_list: ` + cyrusMechanisms + `
sasl_maximum_layer: 512
sasl_keytab: {{.Krb5.ServiceKeytab}}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sql
sasl_sql_engine: sqlite3
sasl_sql_database: {{.Dir}}/empty.sqlite
sasl_sql_select: {{.Passwords}}
tls_server_cert: {{.TLSDir}}/` + plainHost + `.pem
tls_server_key: {{.TLSDir}}/` + plainHost + `.key
tls_client_ca_file: {{.TLSDir}}/ca.pem
tls_client_certs: optional
tls_versions: tls1_2 tls1_3
`))

// cyrusConf is what the master reads: whom to start when a client comes and no
// process is free. That takes too long to start more of them than are needed. The
// name of a service is the prefix of the options that are its own.
var cyrusConf = template.Must(template.New("cyrus.conf").Parse(`SERVICES {
  imap cmd="{{.Imapd}}" listen="` + plainHost + `:{{.Port}}" prefork=0
  imaps cmd="{{.Imapd}} -s" listen="` + plainHost + `:{{.TLSPort}}" prefork=0
  disabled cmd="{{.Imapd}}" listen="` + disabledHost + `:{{.Port}}" prefork=0
}
`))

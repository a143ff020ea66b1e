//go:build linux

package main

import "text/template"

// krb5Conf is for the KDC, the servers and clients. The servers take a ticket for
// any service that they have the key of (ignore_acceptor_hostname). Names are
// never looked up. There is no KDC here for anything else than the realms, so
// whoever asks for the path to one must go by it.
var krb5Conf = template.Must(template.New("krb5.conf").Parse(`[libdefaults]
    default_realm = ` + homeRealm + `
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    ignore_acceptor_hostname = true
    allow_rc4 = true
    forwardable = true
    ticket_lifetime = 24h
    renew_lifetime = 7d
    default_ccache_name = {{.CCache}}
    default_client_keytab_name = FILE:{{.ClientKeytab}}
    default_keytab_name = FILE:{{.ServiceKeytab}}

[realms]
{{- range .Realms}}
    {{.}} = {
        kdc = ` + plainHost + `:{{$.Port}}
    }
{{- end}}

[domain_realm]
    localhost = ` + homeRealm + `
    ` + plainHost + ` = ` + homeRealm + `
    .test = ` + homeRealm + `
    .middle.test = ` + middleRealm + `
    .far.test = ` + farRealm + `
    .sub.test = ` + subRealm + `
    .deep.test = ` + deepRealm + `

[capaths]
    ` + homeRealm + ` = {
        ` + middleRealm + ` = .
        ` + farRealm + ` = ` + middleRealm + `
    }
    ` + middleRealm + ` = {
        ` + farRealm + ` = .
    }
`))

// kdcConf is for the KDC and for the programs that make its databases. A client
// that logs in a thousand connections at once must not have to try again, as with
// the stock backlog of 5.
var kdcConf = template.Must(template.New("kdc.conf").Parse(`[kdcdefaults]
    kdc_listen = ` + plainHost + `:{{.Port}}
    kdc_tcp_listen = ` + plainHost + `:{{.Port}}
    kdc_tcp_listen_backlog = 1024

[realms]
{{- range .Realms}}
    {{.}} = {
        database_name = {{$.Database .}}
        key_stash_file = {{$.Database .}}.stash
        acl_file = /dev/null
        max_life = 24h
        max_renewable_life = 7d
    }
{{- end}}

[logging]
    kdc = FILE:{{.LogFile}}
    default = FILE:/dev/null
`))

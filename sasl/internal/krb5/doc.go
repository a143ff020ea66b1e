// Package krb5 has tickets for services: out of credential caches, and from KDCs for
// a keytab's key or a password, as krb5.conf says. It reads files, asks KDCs and DNS,
// and derives keys, so it blocks: it is for work off the loop.
package krb5

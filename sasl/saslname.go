package sasl

import "strings"

// names escapes what ends a name in a gs2-header (RFC 5801 section 4, saslname).
var names = strings.NewReplacer("=", "=3D", ",", "=2C")

func saslname(name string) string { return names.Replace(name) }

package tlsup

import (
	"errors"
	"net"
	"reflect"
	"strconv"
)

// An alertText is what a server means by an alert, and what to do. A remedy that is
// "" depends on whether we have a certificate.
type alertText struct{ name, fault, remedy string }

const askOperator = "ask the server's operator, whose log says more"

// alerts has the names of RFC 8446 section 6 and, for what it no longer has, of RFC
// 5246 section 7.2.
var alerts = map[uint8]alertText{
	0:   {"close_notify", "it closed the connection", askOperator},
	10:  {"unexpected_message", "it got a message that it did not expect", askOperator},
	20:  {"bad_record_mac", "what it got was not what we sent", "something on the path damages the connection"},
	21:  {"decryption_failed", "what it got was not what we sent", "something on the path damages the connection"},
	22:  {"record_overflow", "a record was too long for it", askOperator},
	30:  {"decompression_failure", "it could not decompress", askOperator},
	40:  {"handshake_failure", "it can agree to nothing that we offered", ""},
	42:  {"bad_certificate", "it does not accept our certificate", ""},
	43:  {"unsupported_certificate", "our certificate is of a kind that it does not take", ""},
	44:  {"certificate_revoked", "our certificate was revoked", ""},
	45:  {"certificate_expired", "our certificate has expired", ""},
	46:  {"certificate_unknown", "it does not accept our certificate", ""},
	47:  {"illegal_parameter", "something we sent contradicts itself", askOperator},
	48:  {"unknown_ca", "it does not trust the issuer of our certificate", ""},
	49:  {"access_denied", "it accepts our certificate, but does not let us in", ""},
	50:  {"decode_error", "it could not read what we sent", askOperator},
	51:  {"decrypt_error", "a signature or a session of ours did not pass its check", "a new attempt may succeed, because it resumes no session"},
	60:  {"export_restriction", "it obeys export restrictions", askOperator},
	70:  {"protocol_version", "it knows no TLS version that we may use; 1.2 is the least", "it needs an update"},
	71:  {"insufficient_security", "it wants stronger ciphers than we offered", "allow what Config.CipherSuites leaves out"},
	80:  {"internal_error", "it failed, by no fault of ours", "try again later, or " + askOperator},
	86:  {"inappropriate_fallback", "it saw a fallback to an old version", "something on the path interferes"},
	90:  {"user_canceled", "it gave up", askOperator},
	100: {"no_renegotiation", "it does not negotiate anew", askOperator},
	109: {"missing_extension", "it misses an extension in what we sent", askOperator},
	110: {"unsupported_extension", "it got an extension that it did not ask for", askOperator},
	112: {"unrecognized_name", "it does not know itself by this name", "name a host that it knows, or set Config.ServerName"},
	113: {"bad_certificate_status_response", "it does not accept our OCSP response", ""},
	115: {"unknown_psk_identity", "it does not know the session", "a new attempt may succeed, because it resumes no session"},
	116: {"certificate_required", "it wants a client certificate", ""},
	120: {"no_application_protocol", "it speaks none of the protocols that we offered by ALPN", "its port may be another service's; Config.NextProtos says what is offered"},
	121: {"ech_required", "it wants an encrypted ClientHello", askOperator},
}

// alertOf finds an alert in an error of crypto/tls, and whether it came from the
// server. The type is one that crypto/tls does not export, a number from 0 to 255.
func alertOf(err error) (code uint8, fromServer, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" && op.Op != "local error" || op.Err == nil {
		return 0, false, false
	}
	value := reflect.ValueOf(op.Err)
	if value.Kind() != reflect.Uint8 {
		return 0, false, false
	}
	return uint8(value.Uint()), op.Op == "remote error", true
}

func alertNamed(code uint8) alertText {
	if text, ok := alerts[code]; ok {
		return text
	}
	return alertText{"alert " + strconv.Itoa(int(code)), "it did not say more", askOperator}
}

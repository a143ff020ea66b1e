package krb5

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// What we send is put together here in DER (X.690), from the inside to the outside,
// as a ticket must go in byte for byte as it came, and encoding/asn1 writes no
// GeneralString.

// der is an element of the parts, one after the other.
func der(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n+6)
	b = append(b, tag)
	if n < 0x80 {
		b = append(b, byte(n))
	} else {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(n))
		skip := bits.LeadingZeros32(uint32(n)) / 8
		b = append(b, 0x80|byte(4-skip))
		b = append(b, length[skip:]...)
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func derSequence(parts ...[]byte) []byte      { return der(0x30, parts...) }
func derApplication(n byte, in []byte) []byte { return der(0x60|n, in) }

// derField is a field of a sequence, tagged explicitly as all of them are in Kerberos.
func derField(n byte, in []byte) []byte { return der(0xa0|n, in) }

func derOctets(b []byte) []byte { return der(0x04, b) }
func derText(s string) []byte   { return der(0x1b, []byte(s)) } // GeneralString

// derFlags are KerberosFlags: 32 bits, where bit 0 is the highest (RFC 4120 section 5.2.8).
func derFlags(flags uint32) []byte {
	return der(0x03, []byte{0}, binary.BigEndian.AppendUint32(nil, flags))
}

func derInteger(n int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	start := 0
	for start < 7 && (b[start] == 0 && b[start+1] < 0x80 || b[start] == 0xff && b[start+1] >= 0x80) {
		start++
	}
	return der(0x02, b[start:])
}

// derTime is KerberosTime: whole seconds (RFC 4120 section 5.2.3).
func derTime(t time.Time) []byte { return der(0x18, []byte(t.UTC().Format("20060102150405Z"))) }

func microseconds(t time.Time) int64 { return int64(t.Nanosecond() / 1000) }

func derName(p Principal) []byte {
	names := make([][]byte, len(p.Names))
	for i, name := range p.Names {
		names[i] = derText(name)
	}
	return derSequence(derField(0, derInteger(int64(p.Type))), derField(1, derSequence(names...)))
}

func derEncrypted(etype int32, cipher []byte) []byte {
	return derSequence(derField(0, derInteger(int64(etype))), derField(2, derOctets(cipher)))
}

func derKey(etype int32, value []byte) []byte {
	return derSequence(derField(0, derInteger(int64(etype))), derField(1, derOctets(value)))
}

package gss

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"strings"
	"testing"
)

// unhex reads hexadecimal digits, with blanks anywhere.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Keys of RFC 8009 appendix A, and of MIT's tests of RFC 3961's derivation for AES
// (krb5, src/lib/crypto/crypto_tests/t_derive.c), which has no vectors of its own.
func TestDerivedKeys(t *testing.T) {
	for _, tc := range []struct {
		etype      int32
		key        string
		kc, ke, ki string // for usage 2
	}{
		{aes128SHA1, "42263C6E89F4FC28B8DF68EE09799F15",
			"34280A382BC92769B2DA2F9EF066854B",
			"5B14FC4E250E14DDF9DCCF1AF6674F53",
			"4ED31063621684F09AE8D89991AF3E8F"},
		{aes256SHA1, "FE697B52BC0D3CE14432BA036A92E65BBB52280990A2FA27883998D72AF30161",
			"BFAB388BDCB238E9F9C98D6A878304F04D30C82556375AC507A7A852790F4674",
			"C7CFD9CD75FE793A586A542D87E0D1396F1134A104BB1A9190B8C90ADA3DDF37",
			"97151B4C76945063E2EB0529DC067D97D7BBA90776D8126D91F34F3101AEA8BA"},
		{aes128SHA256, "3705D96080C17728A0E800EAB6E0D23C",
			"B31A018A48F54776F403E9A396325DC3",
			"9B197DD1E8C5609D6E67C3E37C62C72E",
			"9FDA0E56AB2D85E1569A688696C26A6C"},
		{aes256SHA384, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52",
			"EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D",
			"56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
			"69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F"},
	} {
		p := profiles[tc.etype]
		for purpose, want := range map[byte]string{checksumKey: tc.kc, encryptionKey: tc.ke, integrityKey: tc.ki} {
			if got := p.derive(unhex(t, tc.key), 2, purpose); !bytes.Equal(got, unhex(t, want)) {
				t.Errorf("%s: the key for usage 2, %#x\n got: %X\nwant: %s", EncTypeName(tc.etype), purpose, got, want)
			}
		}
	}
}

// RFC 3962 appendix B: ciphertext stealing. One context does all of them, more than
// once: what it did before must not matter.
func TestCiphertextStealing(t *testing.T) {
	const text = "I would like the General Gau's Chicken, please, and wonton soup."
	key := []byte("chicken teriyaki")
	enc, dec := newCTS(key, cipher.NewCBCEncrypter), newCTS(key, cipher.NewCBCDecrypter)
	for range 3 {
		for _, want := range []string{
			"c6353568f2bf8cb4d8a580362da7ff7f97",
			"fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
			"39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
			"97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
			"97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8",
			"97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a84807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
		} {
			b := []byte(text[:len(want)/2])
			enc.encrypt(b)
			if got := hex.EncodeToString(b); got != want {
				t.Errorf("%d bytes, encrypted\n got: %s\nwant: %s", len(b), got, want)
			}
			dec.decrypt(b)
			if !strings.HasPrefix(text, string(b)) {
				t.Errorf("%d bytes, decrypted\n got: %q", len(b), b)
			}
		}
	}
}

// rfc8009Messages are whole ones: of RFC 8009 appendix A, whose confounders are known, and of
// MIT's tests (t_decrypt.c) for RFC 3962. Those shorter than two blocks are left out,
// for no token has any.
var rfc8009Messages = []struct {
	etype                     int32
	usage                     uint32
	key, confounder, text, is string
}{
	{aes128SHA256, 2, "3705d96080c17728a0e800eab6e0d23c", "7bca285e2fd4130fb55b1a5c83bc5b24", "000102030405",
		"84d7f30754ed987bab0bf3506beb09cfb55402cef7e6 877ce99e247e52d16ed4421dfdf8976c"},
	{aes128SHA256, 2, "3705d96080c17728a0e800eab6e0d23c", "56ab21713ff62c0a1457200f6fa9948f", "000102030405060708090a0b0c0d0e0f",
		"3517d640f50ddc8ad3628722b3569d2ae07493fa8263254080ea65c1008e8fc2 95fb4852e7d83e1e7c48c37eebe6b0d3"},
	{aes128SHA256, 2, "3705d96080c17728a0e800eab6e0d23c", "a7a4e29a4728ce10664fb64e49ad3fac", "000102030405060708090a0b0c0d0e0f1011121314",
		"720f73b18d9859cd6ccb4346115cd336c70f58edc0c4437c5573544c31c813bce1e6d072c1 86b39a413c2f92ca9b8334a287ffcbfc"},
	{aes256SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52", "b80d3251c1f6471494256ffe712d0b9a", "000102030405",
		"4ed7b37c2bcac8f74f23c1cf07e62bc7b75fb3f637b9 f559c7f664f69eab7b6092237526ea0d1f61cb20d69d10f2"},
	{aes256SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52", "53bf8a0d105265d4e276428624ce5e63", "000102030405060708090a0b0c0d0e0f",
		"bc47ffec7998eb91e8115cf8d19dac4bbbe2e163e87dd37f49beca92027764f6 8cf51f14d798c2273f35df574d1f932e40c4ff255b36a266"},
	{aes256SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52", "763e65367e864f02f55153c7e3b58af1", "000102030405060708090a0b0c0d0e0f1011121314",
		"40013e2df58e8751957d2878bcd2d6fe101ccfd556cb1eae79db3c3ee86429f2b2a602ac86 fef6ecb647d6295fae077a1feb517508d2c16b4192e01f62"},
	{aes128SHA1, 1, "98450E3F3BAA13F5C99BEB936981B06F", "", "31",
		"F86742F537B35DC2174A4DBAA920FAF9042090B065E1EBB1CAD9A65394"},
	{aes128SHA1, 4, "DCEEB70B3DE76562E689226C76429148", "", "333020627974657320627974657320627974657320627974657320627974",
		"C96081032D5D8EEB7E32B4089F789D0FAA481DEA74C0F97CBF3146DDFCF8E800156ECB532FC203E30FF600B63B350939FECE510F02D7FF1E7BAC"},
	{aes256SHA1, 2, "B1AE4CD8462AFF1677053CC9279AAC30B796FB81CE21474DD3DDBCFEA4EC76D7", "", "392062797465737373",
		"09957AA25FCAF88F7B39E4406E633012D5FEA21853F6478DA7065CAEF41FD454A40824EEC5"},
	{aes256SHA1, 4, "F1C795E9248A09338D82C3F8D5B567040B0110736845041347235B1404231398", "", "333020627974657320627974657320627974657320627974657320627974",
		"D1137A4D634CFECE924DBC3BF6790648BD5CFF7DE0E7B99460211D0DAEF3D79A295C688858F3B34B9CBD6EEBAE81DAF6B734D4D498B6714F1C1D"},
}

func TestMessages(t *testing.T) {
	for _, m := range rfc8009Messages {
		c := newCFX(profiles[m.etype], unhex(t, m.key), WrapperOptions{})
		c.send.usage, c.recv.usage = m.usage, m.usage
		c.ready(&c.send, true)
		c.ready(&c.recv, true)
		want := unhex(t, m.is)
		b := bytes.Clone(want)
		end := len(b) - c.profile.macLen
		if !c.decrypt(&c.recv, b[:end], b[end:]) {
			t.Fatalf("%s: %d bytes have the wrong HMAC", EncTypeName(m.etype), len(b))
		}
		if got := b[confounderLen:end]; !bytes.Equal(got, unhex(t, m.text)) {
			t.Errorf("%s: %d bytes, decrypted\n got: %x\nwant: %s", EncTypeName(m.etype), len(b), got, m.text)
		}
		if m.confounder != "" && !bytes.Equal(b[:confounderLen], unhex(t, m.confounder)) {
			t.Errorf("%s: the confounder\n got: %x\nwant: %s", EncTypeName(m.etype), b[:confounderLen], m.confounder)
		}
		if got := c.encrypt(&c.send, b[:end:end], 0); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, encrypted again\n got: %x\nwant: %x", EncTypeName(m.etype), len(b), got, want)
		}
	}
}

// RFC 8009 appendix A: checksums.
func TestChecksums(t *testing.T) {
	for _, tc := range []struct {
		etype     int32
		key, want string
	}{
		{aes128SHA256, "3705d96080c17728a0e800eab6e0d23c", "d78367186643d67b411cba9139fc1dee"},
		{aes256SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52", "45ee791567eefca37f4ac1e0222de80d43c3bfa06699672a"},
	} {
		c := newCFX(profiles[tc.etype], unhex(t, tc.key), WrapperOptions{})
		c.send.usage = 2
		c.ready(&c.send, false)
		text := unhex(t, "000102030405060708090a0b0c0d0e0f1011121314")
		if got := c.checksum(&c.send, text[:5], text[5:]); !bytes.Equal(got, unhex(t, tc.want)) {
			t.Errorf("%s: the checksum\n got: %x\nwant: %s", EncTypeName(tc.etype), got, tc.want)
		}
	}
}

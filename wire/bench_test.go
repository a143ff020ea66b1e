package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// drain runs f over in, which is whole replies, and returns how many.
func drain(f *Framer, in []byte) (replies int) {
	for {
		ev, n, err := f.Next(in)
		if err != nil {
			panic(err)
		}
		in = in[n:]
		switch ev.Kind {
		case KindNone:
			return replies
		case KindEnd:
			replies++
		}
	}
}

// walkFetch walks a FETCH text as a client does.
func walkFetch(text, scratch []byte) (values int) {
	c := NewCursor(text)
	c.ExpectListBegin()
	for c.More() {
		name := c.ExpectAtom()
		c.ExpectSP()
		switch {
		case EqualFold(name, "UID"), EqualFold(name, "RFC822.SIZE"):
			c.ExpectNumber64()
		case EqualFold(name, "FLAGS"):
			c.ExpectListBegin()
			for c.More() {
				c.ExpectFlag()
			}
		case EqualFold(name, "ENVELOPE"):
			c.ExpectListBegin()
			for c.More() {
				if s, ok := c.NString(); ok {
					s.Bytes(scratch)
				} else {
					c.ExpectSkip()
				}
			}
		default:
			c.ExpectSkip()
		}
		values++
	}
	c.ExpectEnd()
	if c.Err() != nil {
		panic(c.Err())
	}
	return values
}

func BenchmarkFramer(b *testing.B) {
	literal := func(size int) string {
		return fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}\r\n%s)\r\n", size, strings.Repeat("x", size))
	}
	for _, corpus := range []struct{ name, reply string }{
		{"noop", "kf12 OK NOOP completed\r\n"},
		{"flags", "* 12 FETCH (FLAGS (\\Seen) UID 4711)\r\n"},
		{"literal=100B", literal(100)},
		{"literal=4KiB", literal(4 << 10)},
		{"literal=64KiB", literal(64 << 10)},
		{"literal=1MiB", literal(1 << 20)},
		{"search=1MiB", "* SEARCH" + strings.Repeat(" 123456", 1<<20/7) + "\r\n"},
	} {
		b.Run("reply="+corpus.name, func(b *testing.B) {
			count := max(1, 64<<10/len(corpus.reply))
			in := bytes.Repeat([]byte(corpus.reply), count)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var f Framer
			for b.Loop() {
				if drain(&f, in) != count {
					b.Fatal("a reply was lost")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/reply")
		})
	}
}

// BenchmarkFramerPieces cuts a reply into pieces of the given size: the cost per
// byte must not depend on the length of the line.
func BenchmarkFramerPieces(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		for _, piece := range []int{1, 1460} {
			b.Run(fmt.Sprintf("line=%d/piece=%d", size, piece), func(b *testing.B) {
				in := []byte("* SEARCH" + strings.Repeat(" 123456", size/7) + "\r\n")
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				var f Framer
				for b.Loop() {
					for n := piece; n < len(in)-2; n += piece {
						f.Next(in[:n])
					}
					if drain(&f, in) != 1 {
						b.Fatal("the reply was lost")
					}
				}
			})
		}
	}
}

func BenchmarkParseHead(b *testing.B) {
	for _, line := range []string{"kf12 OK NOOP completed", "* 12345 FETCH (FLAGS (\\Seen) UID 4711)", "* SEARCH 1 2 3", "+ idling"} {
		b.Run("line="+strings.ReplaceAll(line[:8], " ", "_"), func(b *testing.B) {
			in := []byte(line)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseHead(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStatusOf(b *testing.B) {
	for _, word := range []string{"OK", "FETCH", "PREAUTH"} {
		b.Run("keyword="+word, func(b *testing.B) {
			keyword := []byte(word)
			for b.Loop() {
				StatusOf(keyword)
			}
		})
	}
}

func BenchmarkEqualFold(b *testing.B) {
	for _, word := range []string{"FETCH", "fetch", "FLAGS", "CAPABILITY"} {
		b.Run("keyword="+word, func(b *testing.B) {
			keyword := []byte(word)
			for b.Loop() {
				EqualFold(keyword, "FETCH")
			}
		})
	}
}

func BenchmarkCursor(b *testing.B) {
	fetch := []byte(`(UID 4392 FLAGS (\Seen $X) RFC822.SIZE 44827 ENVELOPE ("Wed, 17 Jul 1996" NIL ((NIL NIL "terry" "cac")) "x"))`)
	b.Run("text=fetch", func(b *testing.B) {
		scratch := make([]byte, 0, 64)
		b.SetBytes(int64(len(fetch)))
		b.ReportAllocs()
		for b.Loop() {
			walkFetch(fetch, scratch)
		}
	})
	b.Run("text=search", func(b *testing.B) {
		search := bytes.Repeat([]byte("123456 "), 1000)
		b.SetBytes(int64(len(search)))
		b.ReportAllocs()
		for b.Loop() {
			c := NewCursor(search)
			for c.More() {
				c.ExpectNumber()
			}
		}
	})
	b.Run("text=skip", func(b *testing.B) {
		b.SetBytes(int64(len(fetch)))
		b.ReportAllocs()
		for b.Loop() {
			c := NewCursor(fetch)
			c.Skip()
		}
	})
}

func BenchmarkAppendCommand(b *testing.B) {
	dst, marks := make([]byte, 0, 4096), make([]Mark, 0, 16)
	n, uid, data := len(b.Name())+300, uint32(len(b.Name())+70000), make([]byte, 4096)
	bench := func(name string, command func(dst []byte, marks []Mark, format string, args ...any), format string, args ...any) {
		b.Run("format="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				command(dst[:0], marks[:0], format, args...)
			}
		})
	}
	command := func(dst []byte, marks []Mark, format string, args ...any) {
		if _, _, err := AppendCommand(dst, marks, Synchronizing, format, args); err != nil {
			b.Fatal(err)
		}
	}
	bench("noop", command, "NOOP")
	bench("fetch", command, "FETCH %d (FLAGS)", n)
	bench("uidfetch", command, "UID FETCH %u (FLAGS BODY.PEEK[HEADER])", uid)
	bench("login", command, "LOGIN %s %p", "user@example.org", "correct horse")
	bench("append", command, "APPEND %s (\\Seen) %l", "INBOX", data)
	bench("long", command, "X %s", strings.Repeat("x", 2000))
}

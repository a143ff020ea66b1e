package wire

// The Expect forms of Cursor's methods: each takes what its plain form takes, or
// records that it is not there. What it returns after a failure is empty.

// ExpectSP takes one space or more, as [Cursor.SP].
func (c *Cursor) ExpectSP() { c.expect(c.SP(), "a space") }

// ExpectSpecial takes the byte b, as [Cursor.Special].
func (c *Cursor) ExpectSpecial(b byte) {
	if !c.Special(b) && c.err == nil {
		c.fail(string(rune(b)) + " expected")
	}
}

// ExpectAtom takes an atom, as [Cursor.Atom].
func (c *Cursor) ExpectAtom() []byte {
	b, ok := c.Atom()
	c.expect(ok, "an atom")
	return b
}

// ExpectFlag takes a flag, as [Cursor.Flag].
func (c *Cursor) ExpectFlag() []byte {
	b, ok := c.Flag()
	c.expect(ok, "a flag")
	return b
}

// ExpectQuoted takes a quoted string, as [Cursor.Quoted].
func (c *Cursor) ExpectQuoted() String {
	s, ok := c.Quoted()
	c.expect(ok, "a quoted string")
	return s
}

// ExpectLiteral takes a literal, as [Cursor.Literal].
func (c *Cursor) ExpectLiteral() String {
	s, ok := c.Literal()
	c.expect(ok, "a literal")
	return s
}

// ExpectString takes a string, as [Cursor.String].
func (c *Cursor) ExpectString() String {
	s, ok := c.String()
	c.expect(ok, "a string")
	return s
}

// ExpectAString takes an astring, as [Cursor.AString].
func (c *Cursor) ExpectAString() String {
	s, ok := c.AString()
	c.expect(ok, "an astring")
	return s
}

// ExpectNString takes NIL or a string, as [Cursor.NString].
func (c *Cursor) ExpectNString() String {
	s, ok := c.NString()
	c.expect(ok, "NIL or a string")
	return s
}

// ExpectNIL takes NIL, as [Cursor.NIL].
func (c *Cursor) ExpectNIL() { c.expect(c.NIL(), "NIL") }

// ExpectNumber takes a number of 32 bits, as [Cursor.Number].
func (c *Cursor) ExpectNumber() uint32 {
	n, ok := c.Number()
	c.expect(ok, "a number of 32 bits")
	return n
}

// ExpectNumber64 takes a number of 63 bits, as [Cursor.Number64].
func (c *Cursor) ExpectNumber64() int64 {
	n, ok := c.Number64()
	c.expect(ok, "a number of 63 bits")
	return n
}

// ExpectListBegin takes `(`, as [Cursor.ListBegin].
func (c *Cursor) ExpectListBegin() { c.expect(c.ListBegin(), "(") }

// ExpectListEnd takes `)`, as [Cursor.ListEnd].
func (c *Cursor) ExpectListEnd() { c.expect(c.ListEnd(), ")") }

// ExpectSkip takes any value, as [Cursor.Skip].
func (c *Cursor) ExpectSkip() { c.expect(c.Skip(), "a value") }

// ExpectEnd requires that nothing is left, as [Cursor.End].
func (c *Cursor) ExpectEnd() { c.expect(c.End(), "the end") }

func (c *Cursor) expect(ok bool, what string) {
	if !ok && c.err == nil { // before what is made into a text
		c.fail(what + " expected")
	}
}

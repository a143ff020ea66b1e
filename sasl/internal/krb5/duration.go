package krb5

import (
	"math"
	"strings"
	"time"
)

// parseDuration reads a duration as krb5.conf(5) has it: 3600, 1d2h3m4s (any of them,
// in that order, with blanks before the numbers), h:m, h:m:s and d-h:m:s. Negative ones
// and those of more than 2^31-1 seconds are none.
func parseDuration(s string) (time.Duration, bool) {
	p := durationParser{rest: s}
	total := p.parse()
	if p.bad || p.rest != "" || total > math.MaxInt32 {
		return 0, false
	}
	return time.Duration(total) * time.Second, true
}

type durationParser struct {
	rest string
	bad  bool
}

var durationUnits = [...]struct {
	name    byte
	seconds int64
}{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}

func (p *durationParser) parse() (total int64) {
	p.blanks()
	first := p.number(10)
	switch {
	case p.bad || p.rest == "":
		return first // seconds
	case p.rest[0] == '-':
		p.rest = p.rest[1:]
		return first*86400 + p.clock(p.number(2), true)
	case p.rest[0] == ':':
		return p.clock(first, false)
	}
	return p.units(first)
}

// clock is :m and :s behind the hours; the seconds may be missing where there are no
// days.
func (p *durationParser) clock(hours int64, withSeconds bool) int64 {
	p.want(':')
	total := hours*3600 + p.number(2)*60
	if withSeconds || p.rest != "" {
		p.want(':')
		total += p.number(2)
	}
	return total
}

func (p *durationParser) units(n int64) (total int64) {
	for _, unit := range durationUnits {
		if p.rest == "" || p.rest[0] != unit.name {
			continue
		}
		p.rest = p.rest[1:]
		total += n * unit.seconds
		if p.blanks(); p.rest == "" || p.bad {
			return total
		}
		n = p.number(10)
	}
	p.bad = true // a number without a unit, or one out of order
	return 0
}

func (p *durationParser) blanks() { p.rest = strings.TrimLeft(p.rest, blanks) }

func (p *durationParser) want(c byte) {
	if p.rest == "" || p.rest[0] != c {
		p.bad = true
		return
	}
	p.rest = p.rest[1:]
}

// number reads one of at most digits digits.
func (p *durationParser) number(digits int) (n int64) {
	i := 0
	for i < len(p.rest) && i < digits && p.rest[i] >= '0' && p.rest[i] <= '9' {
		n = n*10 + int64(p.rest[i]-'0')
		i++
	}
	p.bad = p.bad || i == 0
	p.rest = p.rest[i:]
	return n
}

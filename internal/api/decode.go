package api

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// maxElements bounds the list elements and map entries of one request: "{}," repeated
// takes three bytes on the wire and some hundred in memory.
const maxElements = 100_000

// maxMembers bounds a structure's members; the generator keeps to it.
const maxMembers = 128

// decoder reads one JSON input into its Go structure and checks it on the way. Form
// comes before constraints: a SerializationException drops what the checker has found.
type decoder struct {
	scanner
	checker
	elements int
}

// Unmarshal decodes one JSON object into v, a pointer to a generated structure of this
// table, and checks it as a request is checked: SerializationException for the form,
// ValidationException with all violations for the constraints. Paths in messages start
// at v's members.
func (t *Table) Unmarshal(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	p := t.planFor(rv.Type())
	return t.unmarshal(data, p, rv.Elem(), "")
}

func (t *Table) unmarshal(data []byte, p *plan, v reflect.Value, code string) error {
	d := decoder{scanner: scanner{buf: data}}
	if err := d.structure(p, v); err != nil {
		return err
	}
	if d.peek(); d.pos < len(d.buf) {
		return d.bad()
	}
	return d.err(code)
}

// value decodes one value that is not null into v. Where report is false violations of a
// scalar's own constraints are only told by the result: the list or map reports them.
func (d *decoder) value(p *plan, v reflect.Value, report bool) (bad bool, err error) {
	if p.pointer {
		n := reflect.New(p.typ)
		v.Set(n)
		v = n.Elem()
	}
	var c *checker
	if report {
		c = &d.checker
	}
	switch p.Kind {
	case String:
		s, err := d.text(p)
		if err != nil {
			return false, err
		}
		v.SetString(s)
		return p.checkString(c, s), nil
	case Boolean:
		switch d.peek() {
		case 't':
			v.SetBool(true)
			return false, d.literal("true")
		case 'f':
			return false, d.literal("false")
		}
		return false, d.wrongType(p.Kind)
	case Integer, Long:
		n, err := d.integer(p.Kind)
		if err != nil {
			return false, err
		}
		v.SetInt(n)
		return p.checkNumber(c, float64(n)), nil
	case Double:
		f, err := d.float(p.Kind)
		if err != nil {
			return false, err
		}
		v.SetFloat(f)
		return p.checkNumber(c, f), nil
	case Timestamp:
		t, err := d.time()
		if err != nil {
			return false, err
		}
		v.Set(reflect.ValueOf(t))
		return false, nil
	case Blob:
		s, err := d.text(p)
		if err != nil {
			return false, err
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return false, serialization("STRING_VALUE can not be converted to a Blob: it is not base64")
		}
		v.SetBytes(b)
		return p.checkLength(c, len(b)), nil
	case List:
		return false, d.list(p, v)
	case Map:
		return false, d.mapping(p, v)
	}
	return false, d.structure(p, v)
}

// structure decodes an object. Names are case-sensitive, unknown members are read over
// (W-5), null is absent (W-6), of a repeated member the last one counts.
func (d *decoder) structure(p *plan, v reflect.Value) error {
	if d.peek() != '{' {
		return d.wrongType(p.Kind)
	}
	if err := d.enter(); err != nil {
		return err
	}
	var seen [maxMembers]int32 // 0, or one more than what is wrong with the member
	for first := true; ; first = false {
		more, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, err := d.str()
		if err != nil {
			return err
		}
		i, known := p.byName[string(name)]
		if err := d.take(':'); err != nil {
			return err
		}
		if !known {
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		if err := d.member(&p.fields[i], v.Field(i), &seen[i]); err != nil {
			return err
		}
	}
	for i := range p.fields {
		if f := &p.fields[i]; f.required && f.in == InBody && seen[i] == 0 {
			d.missing(f.name)
		}
	}
	return nil
}

func (d *decoder) member(f *field, v reflect.Value, seen *int32) error {
	mark := d.push(f.name)
	defer d.pop(mark)
	if *seen > 0 {
		v.SetZero()
		d.forget(int(*seen) - 1)
		*seen = 0
	}
	null, err := d.null()
	if err != nil || null {
		return err
	}
	before := d.count
	_, err = d.value(f.plan, v, true)
	*seen = 1 + int32(d.count-before)
	return err
}

func (d *decoder) list(p *plan, v reflect.Value) error {
	if d.peek() != '[' {
		return d.wrongType(p.Kind)
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(p.typ, 0, 0))
	n, anyBad := 0, false
	for ; ; n++ {
		more, err := d.more(']', n == 0)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if null, err := d.null(); err != nil || null {
			if err == nil {
				err = serialization("null is not a value of a list")
			}
			return err
		}
		if err := d.element(); err != nil {
			return err
		}
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		e := v.Index(n)
		e.SetZero()
		mark := d.pushIndex(n)
		bad, err := d.value(p.elem, e, false)
		d.pop(mark)
		if err != nil {
			return err
		}
		anyBad = anyBad || bad
	}
	d.checkList(p, n, anyBad)
	return nil
}

// checkList reports what is wrong with a list of n elements, of which some may be.
func (c *checker) checkList(p *plan, n int, anyBad bool) {
	p.checkLength(c, n)
	if anyBad {
		c.add("Member must satisfy constraint: " + p.elem.list())
	}
}

// checkMap reports what is wrong with a map of n entries, of which some may be.
func (c *checker) checkMap(p *plan, n int, badKey, badValue bool) {
	p.checkLength(c, n)
	if badKey {
		c.add("Map keys must satisfy constraint: " + p.key.list())
	}
	if badValue {
		c.add("Map value must satisfy constraint: " + p.elem.list())
	}
}

func (d *decoder) mapping(p *plan, v reflect.Value) error {
	if d.peek() != '{' {
		return d.wrongType(p.Kind)
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(p.typ))
	badKey, badValue := false, false
	for first := true; ; first = false {
		more, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := d.element(); err != nil {
			return err
		}
		key, err := d.text(p.key)
		if err != nil {
			return err
		}
		if err := d.take(':'); err != nil {
			return err
		}
		if null, err := d.null(); err != nil {
			return err
		} else if null { // W-6; an earlier entry of the key counts no longer
			v.SetMapIndex(reflect.ValueOf(key).Convert(p.typ.Key()), reflect.Value{})
			continue
		}
		mark := d.pushKey(key)
		e := reflect.New(p.elem.typ).Elem()
		bad, err := d.value(p.elem, e, false)
		d.pop(mark)
		if err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(p.typ.Key()), e)
		badValue = badValue || bad
		badKey = p.key.checkString(nil, key) || badKey
	}
	d.checkMap(p, v.Len(), badKey, badValue)
	return nil
}

func (d *decoder) element() error {
	if d.elements++; d.elements > maxElements {
		return serialization("The request has more than %d list elements and map entries", maxElements)
	}
	return nil
}

// text reads a string as a value. U+0000 is refused: neither XML nor PostgreSQL can
// hold it, and nothing of AWS needs it.
func (d *decoder) text(p *plan) (string, error) {
	if d.peek() != '"' {
		return "", d.wrongType(p.Kind)
	}
	b, err := d.str()
	if err != nil {
		return "", err
	}
	s := string(b)
	if strings.IndexByte(s, 0) >= 0 {
		return "", serialization("A string must not contain the character U+0000")
	}
	return s, nil
}

// integer reads 1 or 1.0, not 1.5 (W-7).
func (d *decoder) integer(kind Kind) (int64, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, d.wrongType(kind)
	}
	text, plain, err := d.number()
	if err != nil {
		return 0, err
	}
	var n int64
	if plain {
		n, err = strconv.ParseInt(string(text), 10, 64)
	} else {
		var f float64
		// Beyond 2^53 a float is no longer every integer.
		if f, err = strconv.ParseFloat(string(text), 64); f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, serialization("NUMBER_VALUE can not be converted to %s", kind)
		}
		n = int64(f)
	}
	if err != nil || kind == Integer && int64(int32(n)) != n {
		return 0, serialization("NUMBER_VALUE can not be converted to %s", kind)
	}
	return n, nil
}

func (d *decoder) float(kind Kind) (float64, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, d.wrongType(kind)
	}
	text, _, err := d.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, serialization("NUMBER_VALUE can not be converted to %s", kind)
	}
	return f, nil
}

// time reads epoch seconds with an optional fraction, or an ISO 8601 text (W-7).
func (d *decoder) time() (time.Time, error) {
	if d.peek() == '"' {
		b, err := d.str()
		if err != nil {
			return time.Time{}, err
		}
		t, ok := instant(string(b))
		if !ok {
			return time.Time{}, serialization("STRING_VALUE can not be converted to a Timestamp")
		}
		return t, nil
	}
	f, err := d.float(Timestamp)
	if err != nil {
		return time.Time{}, err
	}
	if t := time.UnixMicro(int64(math.Round(f * 1e6))).UTC(); math.Abs(f) < 1e12 && calendar(t) {
		return t, nil
	}
	return time.Time{}, serialization("NUMBER_VALUE can not be converted to a Timestamp")
}

// instant reads an ISO 8601 text.
func instant(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	t = t.UTC()
	return t, err == nil && calendar(t)
}

// calendar says whether a time, which is in UTC, is in the years 0 to 9999: others can neither be
// written as ISO 8601 nor stored.
func calendar(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

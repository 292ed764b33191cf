package api

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// template is the method and path of a rest-json operation: literal segments, labels
// ({Name}), of which the last may take all that is left ({Name+}), and fixed query
// parameters.
type template struct {
	method   string
	segments []string
	labels   []bool
	greedy   bool
	query    url.Values
	status   int
}

// At says where a rest-json operation is, and the status of its success, 0 for 200;
// generated code calls it.
func (o *Operation) At(method, path string, status int) *Operation {
	path, query, _ := strings.Cut(path, "?")
	t := template{method: method, segments: strings.Split(path, "/")[1:], status: status}
	t.labels = make([]bool, len(t.segments))
	for i, s := range t.segments {
		if strings.HasPrefix(s, "{") {
			s = strings.Trim(s, "{}")
			t.labels[i] = true
			t.greedy = strings.HasSuffix(s, "+")
			t.segments[i] = strings.TrimSuffix(s, "+")
		}
	}
	if query != "" {
		t.query, _ = url.ParseQuery(query) // the model's own text
	}
	o.place = t
	return o
}

// match gives how many parts of the template are literally in the request, -1 if the
// request is for something else.
func (t *template) match(method string, segments []string, query url.Values) int {
	if t.method != method || len(segments) < len(t.segments) || len(segments) > len(t.segments) && !t.greedy {
		return -1
	}
	n := 0
	for i, s := range t.segments {
		switch {
		case !t.labels[i] && s != segments[i], t.labels[i] && segments[i] == "":
			return -1
		case !t.labels[i]:
			n++
		}
	}
	for k, v := range t.query {
		if query.Get(k) != v[0] {
			return -1
		}
		n++
	}
	return n
}

// RESTRequest is a request of the rest-json protocol as the decoder needs it. The body is
// not kept.
type RESTRequest struct {
	labels map[string]string
	query  url.Values
	Header http.Header
	Body   []byte
}

// RESTAnswer is the answer to one: Body has a JSON object, the payload, or nothing.
type RESTAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Find gives the operation that a request of the rest-json protocol is for, with its labels
// and query, or nil. Of several the one counts that has the most of its path in words. A
// slash at the end of a path means nothing. (W-36)
func (s *Service) Find(method string, u *url.URL) (*Operation, *RESTRequest) {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if last := len(segments) - 1; last > 0 && segments[last] == "" {
		segments = segments[:last]
	}
	for i, seg := range segments {
		text, err := url.PathUnescape(seg)
		if err != nil {
			return nil, nil
		}
		segments[i] = text
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil
	}
	var found *Operation
	best := -1
	for _, op := range s.Operations {
		if n := op.place.match(method, segments, query); n > best {
			found, best = op, n
		}
	}
	if found == nil {
		return nil, nil
	}
	r := &RESTRequest{query: query, labels: map[string]string{}}
	t := &found.place
	for i, name := range t.segments {
		switch {
		case t.labels[i] && t.greedy && i == len(t.segments)-1:
			r.labels[name] = strings.Join(segments[i:], "/")
		case t.labels[i]:
			r.labels[name] = segments[i]
		}
	}
	return found, r
}

// ServeREST is ServeJSON for a rest-json service. dst gets the answer's body.
func (s *Service) ServeREST(ctx context.Context, op *Operation, r *RESTRequest, dst []byte) (*RESTAnswer, error) {
	in := reflect.New(op.inType.Elem())
	if op.in >= 0 {
		if err := s.Shapes.unmarshalREST(r, s.planOf(&op.inPlan, op.in, op.inType), in.Elem(), s.ValidationCode); err != nil {
			return nil, err
		}
	}
	out, err := s.answer(ctx, op, in)
	if err != nil {
		return nil, err
	}
	a := &RESTAnswer{Status: op.place.status, Header: http.Header{}, Body: dst}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	if op.out >= 0 {
		a.encode(s.planOf(&op.outPlan, op.out, op.outType), out)
	}
	return a, nil
}

// restDecoder reads one input of the rest-json protocol and checks it on the way.
type restDecoder struct {
	decoder
	*RESTRequest
}

func (t *Table) unmarshalREST(r *RESTRequest, p *plan, v reflect.Value, code string) error {
	d := restDecoder{decoder{scanner: scanner{buf: r.Body}, checker: checker{lower: true}}, r}
	for i := range p.fields {
		f := &p.fields[i]
		if f.in == InBody {
			continue
		}
		mark := d.push(f.name)
		err := d.placed(f, v.Field(i))
		d.pop(mark)
		if err != nil {
			return err
		}
	}
	if len(p.byName) > 0 {
		if len(d.buf) == 0 {
			d.buf = []byte("{}")
		}
		if err := d.whole(p, v); err != nil {
			return err
		}
	}
	return d.err(code)
}

// whole decodes a body that is nothing but the structure p.
func (d *restDecoder) whole(p *plan, v reflect.Value) error {
	if err := d.structure(p, v); err != nil {
		return err
	}
	if d.peek(); d.pos < len(d.buf) {
		return d.bad()
	}
	return nil
}

// placed decodes a member that is not part of the body's object.
func (d *restDecoder) placed(f *field, v reflect.Value) error {
	var texts []string
	switch f.in {
	case InUri:
		if l, ok := d.labels[f.as]; ok {
			texts = []string{l}
		}
	case InQuerystring:
		texts = d.query[f.as]
	case InHeader:
		if h := d.Header.Get(f.as); h != "" {
			texts = []string{h}
		}
	case InPayload:
		return d.payload(f, v)
	}
	if texts == nil {
		if f.required {
			d.report(string(d.path), " null", "Member must not be null")
		}
		return nil
	}
	if f.Kind != List {
		_, err := d.word(f.plan, v, texts[0], &d.checker)
		return err
	}
	v.Set(reflect.MakeSlice(f.typ, len(texts), len(texts)))
	anyBad := false
	for i, text := range texts {
		if err := d.element(); err != nil {
			return err
		}
		bad, err := d.word(f.elem, v.Index(i), text, nil)
		if err != nil {
			return err
		}
		anyBad = anyBad || bad
	}
	d.checkList(f.plan, len(texts), anyBad)
	return nil
}

func (d *restDecoder) payload(f *field, v reflect.Value) error {
	switch {
	case len(d.buf) == 0:
		if f.required {
			d.report(string(d.path), " null", "Member must not be null")
		}
		return nil
	case f.Kind == Blob:
		v.SetBytes(bytes.Clone(d.buf))
		f.checkLength(&d.checker, len(d.buf))
		return nil
	}
	n := reflect.New(f.typ)
	v.Set(n)
	return d.whole(f.plan, n.Elem())
}

// word decodes a scalar that stands as text in a path, a query or a header.
func (d *restDecoder) word(p *plan, v reflect.Value, text string, c *checker) (bad bool, err error) {
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return false, serialization("A parameter is not valid UTF-8 or contains the character U+0000")
	}
	if p.pointer {
		n := reflect.New(p.typ)
		v.Set(n)
		v = n.Elem()
	}
	switch p.Kind {
	case String:
		v.SetString(text)
		return p.checkString(c, text), nil
	case Boolean:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return false, serialization("STRING_VALUE can not be converted to %s", p.Kind)
		}
		v.SetBool(b)
		return false, nil
	case Timestamp:
		t, ok := instant(text)
		if !ok {
			return false, serialization("STRING_VALUE can not be converted to %s", p.Kind)
		}
		v.Set(reflect.ValueOf(t))
		return false, nil
	}
	bits := 64
	if p.Kind == Integer {
		bits = 32
	}
	i, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return false, serialization("STRING_VALUE can not be converted to %s", p.Kind)
	}
	v.SetInt(i)
	return p.checkNumber(c, float64(i)), nil
}

// encode writes the members of an output to where they belong.
func (a *RESTAnswer) encode(p *plan, v reflect.Value) {
	for i := range p.fields {
		f, fv := &p.fields[i], v.Field(i)
		if f.in == InBody || f.absent(fv) {
			continue
		}
		switch f.in {
		case InStatusCode:
			a.Status = int(fv.Elem().Int())
		case InHeader:
			a.Header.Set(f.as, headerText(f.plan, fv))
		case InPayload:
			if f.Kind == Blob {
				a.Body = append(a.Body, fv.Bytes()...)
			} else {
				a.Body = appendStructure(a.Body, f.plan, fv.Elem())
			}
		}
	}
	if len(p.byName) > 0 || len(p.fields) == 0 && a.Status != http.StatusNoContent {
		a.Body = appendStructure(a.Body, p, v)
	}
}

// RESTError gives the body of an error that the service's model has, nil for others. The
// class itself stands in a header.
func (s *Service) RESTError(code, message string) []byte {
	e := s.class(code)
	if e == nil {
		return nil
	}
	b := []byte{'{'}
	if e.Typed {
		who := "User"
		if e.Status >= 500 {
			who = "Service"
		}
		b = append(b, `"Type":"`+who+`",`...)
	}
	b = appendString(b, cmp.Or(e.Message, "message"))
	b = append(b, ':')
	return append(appendString(b, message), '}')
}

// headerText writes a scalar for a header; what would end a header's line becomes a space.
func headerText(p *plan, v reflect.Value) string {
	if p.pointer {
		v = v.Elem()
	}
	switch p.Kind {
	case Boolean:
		return strconv.FormatBool(v.Bool())
	case Integer, Long:
		return strconv.FormatInt(v.Int(), 10)
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, v.String())
}

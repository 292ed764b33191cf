package awswire

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"penstock/internal/api"
	"penstock/internal/fault"
)

const (
	codeInternal = "InternalFailure"
	internalText = "The request processing has failed because of an unknown error, exception or failure."

	// keptBuffer is the largest buffer that goes back to the pool.
	keptBuffer = 64 << 10
	// drained is how much of a body that is too large is read over, so that the
	// connection stays usable (W-9).
	drained = 16 << 20
)

var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, 8<<10)) }}

func keep(b *[]byte) {
	if cap(*b) <= keptBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// serveService answers a request of a service with a table of operations in the order of W-20: it is routed, now
// it is authenticated, decoded, checked, and answered by its room.
func (x *exchange) serveService() {
	s := x.route.service
	if !x.route.signed {
		// The body of an unsigned request is not worth reading.
		_, err := x.Authenticate(x.r, s.Scope, nil)
		if err == nil {
			err = fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
		}
		x.refuse(err)
		return
	}
	release, err := x.admit()
	if err != nil {
		x.refuse(err)
		return
	}
	defer release()
	in, out := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer keep(in)
	defer keep(out)
	if *in, err = x.body((*in)[:0]); err != nil {
		x.refuse(err)
		return
	}
	h, status := x.w.Header(), http.StatusOK
	switch x.route.to {
	case toForm:
		*out, err = x.serveForm(*in, (*out)[:0])
	case toREST:
		*out, status, err = x.serveREST(*in, (*out)[:0])
	case toCBOR:
		h.Set("Smithy-Protocol", rpcCBOR)
		*out, err = x.serveJSON(*in, (*out)[:0], s.ServeCBOR)
	default:
		*out, err = x.serveJSON(*in, (*out)[:0], s.ServeJSON)
	}
	if err != nil {
		x.refuse(err)
		return
	}
	if status == http.StatusNoContent {
		x.w.WriteHeader(status)
		return
	}
	if x.route.to != toCBOR || len(*out) > 0 { // no output has no form
		h.Set("Content-Type", x.contentType())
	}
	h.Set("Content-Length", strconv.Itoa(len(*out)))
	x.w.WriteHeader(status)
	x.w.Write(*out)
}

func (x *exchange) serveREST(body, dst []byte) ([]byte, int, error) {
	ctx, err := x.authenticate(x.route.service.Scope, body)
	if err != nil {
		return dst, 0, err
	}
	in := x.route.rest
	in.Header, in.Body = x.r.Header, body
	a, err := x.route.service.ServeREST(ctx, x.route.op, in, dst)
	if err != nil {
		return dst, 0, err
	}
	maps.Copy(x.w.Header(), a.Header)
	return a.Body, a.Status, nil
}

// serveJSON answers a request whose body is the whole input.
func (x *exchange) serveJSON(body, dst []byte, serve func(context.Context, *api.Operation, []byte, []byte) ([]byte, error)) ([]byte, error) {
	ctx, err := x.authenticate(x.route.service.Scope, body)
	if err != nil {
		return dst, err
	}
	if body, err = x.unpack(body); err != nil {
		return dst, err
	}
	return serve(ctx, x.route.op, body, dst)
}

func (x *exchange) serveForm(body, dst []byte) ([]byte, error) {
	s := x.route.service
	ctx, plain := context.Context(nil), body
	var err error
	if x.packed() { // which is not unpacked for those who did not sign
		if ctx, err = x.authenticate(s.Scope, body); err != nil {
			return dst, err
		}
		if plain, err = x.unpack(body); err != nil {
			return dst, err
		}
	}
	form, err := formOf(x.r, plain)
	if err != nil {
		return dst, fault.New("MalformedQueryString", "The request's parameters are not valid: %v", err)
	}
	action, version := form.Get("Action"), form.Get("Version")
	if x.route.op = s.Operations[action]; action != "" && (x.route.op == nil || version != "" && version != s.Version) {
		return dst, fault.New("InvalidAction", "Could not find operation %.100s for version %.20s of %s on this penstock server", action, version, s.ID)
	}
	if ctx == nil {
		if ctx, err = x.authenticate(s.Scope, body); err != nil {
			return dst, err
		}
	}
	if x.route.op == nil {
		return dst, fault.New("MissingAction", "The request has no Action parameter")
	}
	return s.ServeQuery(ctx, x.route.op, form, x.id, dst)
}

// admit lets a request with a large body in once there is memory for it, if its signature can be
// true. The memory is the request's until release.
func (x *exchange) admit() (release func(), err error) {
	n := x.r.ContentLength
	if limit := x.limit(); n > limit || limit <= MaxBody || n >= 0 && n <= MaxBody {
		return func() {}, nil // it is refused, or small
	} else if n < 0 {
		n = limit
	}
	if x.Plausible != nil {
		if err := x.told(x.route.service.Scope, x.Plausible(x.r, x.route.service.Scope)); err != nil {
			defer x.hurry()()
			x.readOver()
			return nil, err
		}
	}
	ctx, stop := context.WithTimeout(x.r.Context(), bodyTime)
	defer stop()
	if x.large.Acquire(ctx, n) != nil {
		x.w.Header().Set("Connection", "close")
		return nil, fault.New("ServiceUnavailable", "Too many large requests are under way. Try again.")
	}
	return func() { x.large.Release(n) }, nil
}

// hurry bounds the time the client has for its body, from now on; the result ends that. Not every
// writer has deadlines (a call in process has none), and then needs none.
func (x *exchange) hurry() func() {
	rc := http.NewResponseController(x.w)
	if rc.SetReadDeadline(time.Now().Add(bodyTime)) != nil {
		return func() {}
	}
	return func() { rc.SetReadDeadline(time.Time{}) }
}

// body reads the request's body into b, within the limit of the service.
func (x *exchange) body(b []byte) ([]byte, error) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return b, nil
	}
	limit := x.limit()
	defer x.hurry()()
	if n := x.r.ContentLength; n > limit {
		return b, x.tooLarge(limit)
	} else if n > MaxBody { // admit has kept the memory for it
		b = make([]byte, 0, n+1)
	} else if n > int64(cap(b)) {
		// What a header promises is not yet worth its memory.
		b = make([]byte, 0, min(n, 4*keptBuffer)+1)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := x.r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return b, x.tooLarge(limit)
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			x.w.Header().Set("Connection", "close")
			return b, fault.New("SerializationException", "The request body could not be read to its end")
		}
	}
}

// packed says whether the body is compressed, as the clients of CloudWatch send large ones.
func (x *exchange) packed() bool {
	return x.route.service.Protocol == api.RPCCBOR && x.r.Header.Get("Content-Encoding") == "gzip"
}

// unpack gives the input of a body, compressed or not. The limit of the body is that of the input
// too.
func (x *exchange) unpack(body []byte) ([]byte, error) {
	if !x.packed() {
		return body, nil
	}
	limit := x.limit()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(z, limit+1))
	}
	if err != nil {
		return nil, fault.New("SerializationException", "The request body is not gzip, as its Content-Encoding says")
	}
	if int64(len(body)) > limit {
		return nil, x.tooLarge(limit)
	}
	return body, nil
}

// limit is the largest body of the request.
func (x *exchange) limit() int64 { return cmp.Or(x.route.opBody(), x.route.service.MaxBody, MaxBody) }

// readOver reads over the rest of a body that is refused, within reason, so that the client gets
// to read the refusal on this connection.
func (x *exchange) readOver() {
	if n, err := io.CopyN(io.Discard, x.r.Body, drained); n == drained || err != nil && err != io.EOF {
		x.w.Header().Set("Connection", "close")
	}
}

// tooLarge refuses a body.
func (x *exchange) tooLarge(limit int64) error {
	x.readOver()
	s := x.route.service
	if _, _, ok := s.Spelling("RequestTooLargeException"); ok && s.Protocol == api.RESTJSON {
		return fault.New("RequestTooLargeException", "Request must be smaller than %d bytes for the %s operation", limit, x.route.opName())
	}
	return fault.New(cmp.Or(s.ValidationCode, "ValidationException"), "The request body is larger than %d bytes", limit)
}

// refuse answers with an error: a fault as it stands, anything else as an internal
// failure whose text only the log sees.
func (x *exchange) refuse(err error) {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		x.writeError(f.Code, f.Message, 0)
	case errors.Is(err, context.Canceled) && x.r.Context().Err() != nil:
		// The client is gone; the answer is for nobody.
		x.Log.DebugContext(x.r.Context(), "client gone", "requestId", x.id)
		x.writeError("ServiceUnavailable", "The request was cancelled.", http.StatusServiceUnavailable)
	case errors.Is(err, fault.ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		x.Log.ErrorContext(x.r.Context(), "nothing can be stored", "requestId", x.id, "error", err)
		x.writeError("ServiceUnavailable", fault.FullText, http.StatusServiceUnavailable)
	case errors.Is(err, fault.ErrText) && x.route.service != nil:
		// Members are checked where their rules are; what is left stands in tokens and markers.
		x.writeError(cmp.Or(x.route.service.ValidationCode, "ValidationException"), "The request has a text with a NUL, or one that is too long or not UTF-8", 0)
	default:
		x.Log.ErrorContext(x.r.Context(), "internal failure", "requestId", x.id, "service", x.route.serviceName(),
			"operation", x.route.opName(), "error", err)
		x.writeError(codeInternal, internalText, http.StatusInternalServerError)
	}
}

// contentType is that of the service's answers.
func (x *exchange) contentType() string {
	switch x.route.envelope {
	case cborEnvelope:
		return "application/cbor"
	case xmlEnvelope:
		return "text/xml"
	}
	if s := x.route.service; s != nil {
		switch s.Protocol {
		case api.Query:
			return "text/xml"
		case api.RESTJSON:
			return "application/json"
		case api.JSON10, api.RPCCBOR:
			return "application/x-amz-json-1.0"
		}
		return "application/x-amz-json-1.1"
	}
	if ct := x.r.Header.Get("Content-Type"); len(ct) >= 26 && ct[:26] == "application/x-amz-json-1.0" {
		return ct[:26]
	}
	return "application/x-amz-json-1.1"
}

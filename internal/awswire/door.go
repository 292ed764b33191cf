// Package awswire is the door: the one http.Handler behind the one port. It tells the
// services apart, limits and authenticates what comes in, hands it to a room, and writes
// the answer or the refusal in the caller's protocol.
package awswire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"penstock/internal/api"
	"penstock/internal/fault"
)

// MaxBody is the largest request body of a JSON or query service that has no limit of
// its own (W-9).
const MaxBody = 2 << 20

// largeBytes bounds the bodies above MaxBody that are in memory at once. Who comes when they are
// waits for bodyTime at most.
const largeBytes = 256 << 20

// bodyTime is how long a client may take to send such a body.
const bodyTime = 30 * time.Second

// Authenticate verifies the signature of a request for the service with this credential
// scope name and puts the caller into the context. body is the whole body, or nil where
// the service reads it itself (S3); then Authenticate replaces r.Body by one that checks
// what it reads. body must not be kept. The error is a *fault.Error spelled for the
// service's protocol family, or internal.
type Authenticate func(r *http.Request, service string, body []byte) (context.Context, error)

// Plausible says what is wrong with the signature of a request as far as that can be told without
// its body. The error is one of Authenticate.
type Plausible func(r *http.Request, service string) error

// Config is what stands behind the door. The handlers may be nil: then their requests
// are refused as unknown.
type Config struct {
	Authenticate Authenticate
	// Plausible is asked before a body larger than MaxBody is read; nil takes all.
	Plausible Plausible
	// Services are all that have a generated table of operations.
	Services []*api.Service
	// S3 gets S3 and S3 Control requests that are authenticated. The request id stands in
	// the response header x-amz-request-id and in the context (api.RequestID).
	S3 http.Handler
	// Git gets /v1/repos/… and authenticates itself.
	Git http.Handler
	// SNS gets /sns/…, the certificate and the links of messages, which need no signature.
	SNS http.Handler
	// Hooks gets /webhooks/… and authenticates itself.
	Hooks http.Handler
	// Web gets /console…, /metrics and whatever else an unsigned browser asks for, and
	// authenticates itself.
	Web http.Handler
	// Ready tells whether requests can be answered, for /readyz; nil is always.
	Ready func(context.Context) error
	// Refused is told of requests whose signature proves nothing, with the credential scope name
	// and the operation; may be nil.
	Refused func(r *http.Request, scope, operation string, err error)
	// Log gets internal errors with their request ids, and every request at debug level;
	// nil is silence.
	Log *slog.Logger
}

// Door is the http.Handler of the whole server.
type Door struct {
	Config
	byTarget map[string]*api.Service
	byScope  map[string]*api.Service
	// large has largeBytes for bodies above MaxBody.
	large *semaphore.Weighted
}

// New makes a door. Two services with one target or scope name are a programming mistake.
func New(c Config) *Door {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Door{Config: c, byTarget: map[string]*api.Service{}, byScope: map[string]*api.Service{}, large: semaphore.NewWeighted(largeBytes)}
	for _, s := range c.Services {
		if d.byScope[s.Scope] != nil || s.Target != "" && d.byTarget[s.Target] != nil {
			panic("awswire: two services are called " + s.Scope)
		}
		d.byScope[s.Scope] = s
		if s.Target != "" {
			d.byTarget[s.Target] = s
		}
	}
	return d
}

// exchange is one request on its way to its answer.
type exchange struct {
	*Door
	w  *writer
	r  *http.Request
	id string
	// route is where the request belongs; it decides how a refusal is written.
	route route
	start time.Time
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Door: d, w: &writer{ResponseWriter: w}, id: newID(), start: time.Now()}
	x.r = originForm(r.WithContext(api.WithRequestID(r.Context(), x.id)))
	// Clients set their clocks by it (W-11, W-30).
	w.Header().Set("Date", x.start.UTC().Format(http.TimeFormat))
	defer x.recover()
	x.route = x.find()
	if x.route.to == toS3 {
		w.Header().Set("X-Amz-Request-Id", x.id)
	} else {
		w.Header().Set("X-Amzn-Requestid", x.id)
	}
	x.serve()
	if d.Log.Enabled(r.Context(), slog.LevelDebug) {
		d.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("requestId", x.id), slog.String("method", r.Method),
			slog.String("service", x.route.serviceName()), slog.String("operation", x.route.opName()),
			slog.Int("status", x.w.status), slog.Duration("took", time.Since(x.start)))
	}
}

func (x *exchange) serve() {
	switch x.route.to {
	case toHealth:
		x.health(nil)
	case toReady:
		x.health(x.Ready)
	case toGit:
		x.Git.ServeHTTP(x.w, x.r)
	case toHooks:
		x.Hooks.ServeHTTP(x.w, x.r)
	case toSNS:
		x.SNS.ServeHTTP(x.w, x.r)
	case toWeb:
		x.Web.ServeHTTP(x.w, x.r)
	case toS3:
		x.serveS3()
	case toJSON, toForm, toREST, toCBOR:
		x.serveService()
	default:
		x.refuse(x.route.err)
	}
}

func (x *exchange) health(ready func(context.Context) error) {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.Header().Set("Cache-Control", "no-store")
	if ready != nil {
		if err := ready(x.r.Context()); err != nil {
			x.Log.WarnContext(x.r.Context(), "not ready", "error", err)
			x.w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(x.w, "not ready\n")
			return
		}
	}
	io.WriteString(x.w, "ok\n")
}

func (x *exchange) serveS3() {
	ctx, err := x.authenticate("s3", nil)
	if err != nil {
		x.refuse(err)
		return
	}
	x.S3.ServeHTTP(x.w, x.r.WithContext(ctx))
}

// authenticate tells of those who claim to be somebody and cannot prove it.
func (x *exchange) authenticate(scope string, body []byte) (context.Context, error) {
	ctx, err := x.Authenticate(x.r, scope, body)
	return ctx, x.told(scope, err)
}

// told tells of a refused signature.
func (x *exchange) told(scope string, err error) error {
	var f *fault.Error
	if x.Refused != nil && x.route.signed && errors.As(err, &f) {
		x.Refused(x.r, scope, x.route.opName(), err)
	}
	return err
}

// recover answers a request whose handler has panicked, if nothing was written yet. The
// text of the panic goes to the log only.
func (x *exchange) recover() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	x.Log.ErrorContext(x.r.Context(), "panic", "requestId", x.id, "service", x.route.serviceName(),
		"operation", x.route.opName(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if x.w.status != 0 {
		// Half an answer is out; only cutting the connection tells the client.
		panic(http.ErrAbortHandler)
	}
	x.writeError(codeInternal, internalText, http.StatusInternalServerError)
}

// originForm turns an absolute-form request target, as clients of a proxy send it, into
// the usual form (W-37). The Host of the request stays the one that was signed.
func originForm(r *http.Request) *http.Request {
	if r.URL.Host == "" && r.URL.Path != "" {
		return r
	}
	u := *r.URL
	u.Scheme, u.Host, u.User = "", "", nil
	if u.Path == "" {
		u.Path = "/"
	}
	r.URL = &u // r is our own copy
	if _, rest, ok := strings.Cut(r.RequestURI, "://"); ok {
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			r.RequestURI = "/"
		case rest[i] == '?':
			r.RequestURI = "/" + rest[i:]
		default:
			r.RequestURI = rest[i:]
		}
	}
	return r
}

// newID makes a request id: a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// writer remembers whether an answer has begun.
type writer struct {
	http.ResponseWriter
	status int
}

func (w *writer) WriteHeader(status int) {
	// Informational headers come before the answer.
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps the kernel's file-to-socket copy for S3 objects.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return io.Copy(w.ResponseWriter, r)
}

// Flush sends what is written so far, for streaming answers.
func (w *writer) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController through.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
)

// inProcess is an http.RoundTripper that hands requests to a handler of this process as a
// server would, without a socket. Bodies stream in both directions. A request that is left
// ends the handler's context and its writes; a handler that panics cuts the answer.
//
// The handler sees none of the values in the caller's context: who calls is decided by the
// signature alone.
type inProcess struct {
	handler http.Handler
	// base is the context of all requests; it ends them when the server stops.
	base context.Context
	log  *slog.Logger
}

// RoundTrip sends one request.
func (t *inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(t.base)
	unlink := context.AfterFunc(req.Context(), func() { cancel(context.Cause(req.Context())) })
	in := served(ctx, req)
	read, write := io.Pipe()
	a := &answer{header: http.Header{}, body: write, begun: make(chan struct{}), noBody: req.Method == http.MethodHead}
	go func() {
		defer unlink()
		defer closeBody(req)
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				t.log.Error("a call within the server panicked", "panic", p, "stack", string(debug.Stack()))
			}
			a.finish(p != nil)
		}()
		t.handler.ServeHTTP(a, in)
	}()
	select {
	case <-a.begun:
	case <-ctx.Done():
		read.CloseWithError(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
	if a.aborted {
		cancel(nil)
		return nil, errors.New("the server cut the answer off")
	}
	// A context that ends while the body is read ends the reading too, as on a socket.
	stop := context.AfterFunc(ctx, func() { read.CloseWithError(context.Cause(ctx)) })
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, ContentLength: a.length(), Request: req,
		Body: &answerBody{PipeReader: read, left: func() { stop(); cancel(errors.New("the answer was closed")) }},
	}, nil
}

// served makes the request as a server reads it from the wire.
func served(ctx context.Context, req *http.Request) *http.Request {
	in := req.Clone(ctx)
	in.RequestURI = req.URL.RequestURI()
	u := *req.URL
	u.Scheme, u.Host, u.User, u.Fragment = "", "", nil, ""
	in.URL = &u
	if in.Host = req.Host; in.Host == "" {
		in.Host = req.URL.Host
	}
	in.RemoteAddr = "127.0.0.1:0"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.Close, in.GetBody = false, nil
	// Nobody waits for the interim answer here.
	in.Header.Del("Expect")
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		in.Body, in.ContentLength = http.NoBody, 0
	case req.ContentLength <= 0:
		in.ContentLength = -1
		in.TransferEncoding = []string{"chunked"}
	default:
		// A server never reads more than was announced.
		in.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(req.Body, req.ContentLength), req.Body}
	}
	return in
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// answer is the handler's side of an answer.
type answer struct {
	header http.Header
	body   *io.PipeWriter
	noBody bool

	once  sync.Once
	begun chan struct{} // closed when what follows is final
	// status and sent are the head as it went out; aborted that none did.
	status  int
	sent    http.Header
	aborted bool
	written int64
}

// Header is what will go out with the status.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sends the head; interim ones are dropped.
func (a *answer) WriteHeader(status int) {
	if status < 200 {
		return
	}
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		if status == http.StatusNoContent || status == http.StatusNotModified {
			a.noBody = true
		}
		close(a.begun)
	})
}

// Write sends a part of the body once the reader takes it.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.noBody {
		return len(b), nil
	}
	n, err := a.body.Write(b)
	a.written += int64(n)
	return n, err
}

// Flush sends the head, if it has not gone out; bodies are never held back.
func (a *answer) Flush() { a.WriteHeader(http.StatusOK) }

// finish ends the answer when the handler has returned, or was cut off.
func (a *answer) finish(aborted bool) {
	if aborted {
		a.once.Do(func() { a.aborted = true; close(a.begun) })
		a.body.CloseWithError(io.ErrUnexpectedEOF)
		return
	}
	a.WriteHeader(http.StatusOK)
	if n := a.length(); !a.noBody && n > a.written {
		a.body.CloseWithError(io.ErrUnexpectedEOF)
		return
	}
	a.body.Close()
}

// length is the announced length of the body, -1 if none was. It is called after begun.
func (a *answer) length() int64 {
	if n, err := strconv.ParseInt(a.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		return n
	}
	if a.noBody {
		return 0
	}
	return -1
}

// answerBody is the caller's side of the body.
type answerBody struct {
	*io.PipeReader
	left func()
}

// Close leaves the answer: the handler's writes fail and its context ends.
func (b *answerBody) Close() error {
	b.left()
	return b.PipeReader.Close()
}

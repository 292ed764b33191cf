package git

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Services of the smart protocol (N-9).
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// maxNegotiation bounds the wants and haves of one fetch request, unpacked.
const maxNegotiation = 32 << 20

var protocolForm = regexp.MustCompile(`^version=[0-2]$`)

// protocol gives the environment that chooses the protocol version. Of the header only
// what is known is passed on.
func protocol(req *http.Request) (env []string, v2 bool) {
	for part := range strings.SplitSeq(req.Header.Get("Git-Protocol"), ":") {
		if protocolForm.MatchString(part) {
			return []string{"GIT_PROTOCOL=" + part}, part == "version=2"
		}
	}
	return nil, false
}

// peer moves the deadlines of a connection along with its traffic, so that a transfer may
// take long and a silent peer may not.
type peer struct {
	w    http.ResponseWriter
	body io.Reader
	rc   *http.ResponseController
	idle time.Duration
}

func newPeer(w http.ResponseWriter, req *http.Request, idle time.Duration) *peer {
	return &peer{w: w, body: req.Body, rc: http.NewResponseController(w), idle: idle}
}

// Read reads the request. At its end the read deadline goes away: the server's own watch
// for a client that disconnects must not take it for one.
func (p *peer) Read(b []byte) (int, error) {
	_ = p.rc.SetReadDeadline(time.Now().Add(p.idle))
	n, err := p.body.Read(b)
	if err != nil {
		_ = p.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Write writes to the client at once.
func (p *peer) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.idle))
	n, err := p.w.Write(b)
	if err == nil {
		err = p.rc.Flush()
		if errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	return n, err
}

// requestBody gives the unpacked body, which fails with ErrTooLarge beyond limit bytes.
func requestBody(p *peer, req *http.Request, limit int64) (io.Reader, error) {
	var r io.Reader = p
	switch enc := strings.ToLower(req.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("git: body is not gzip: %w", err)
		}
		r = z
	default:
		return nil, fmt.Errorf("git: content encoding %q is not known", enc)
	}
	return &capped{r: r, left: limit}, nil
}

// capped fails with ErrTooLarge instead of giving more than left bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	if c.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than allowed tells a full body from one that goes on.
	if int64(len(b)) > c.left+1 {
		b = b[:c.left+1]
	}
	n, err := c.r.Read(b)
	c.left -= int64(n)
	if c.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

func header(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// text answers with a line that git shows to its user.
func text(w http.ResponseWriter, status int, format string, args ...any) {
	header(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, format+"\n", args...)
}

// fail answers a failure before anything was written.
func (r *Repo) fail(w http.ResponseWriter, req *http.Request, err error) {
	switch {
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "10")
		text(w, http.StatusServiceUnavailable, "The server is busy with other git requests. Try again in a moment.")
	case errors.Is(err, ErrTooLarge):
		text(w, http.StatusRequestEntityTooLarge, "The request is too large.")
	case errors.Is(err, errPkt):
		text(w, http.StatusBadRequest, "The request is not one of the git protocol.")
	case errors.Is(err, errGone) || req.Context().Err() != nil:
		text(w, http.StatusBadRequest, "The request broke off.")
	default:
		r.dir.cfg.Log.ErrorContext(req.Context(), "git: request failed", "repository", r.id, "error", err)
		text(w, http.StatusInternalServerError, "The request failed inside the server.")
	}
}

// ServeRefs answers GET info/refs of a service, the first request of every transfer.
func (r *Repo) ServeRefs(w http.ResponseWriter, req *http.Request, service string) {
	env, v2 := protocol(req)
	args := []string{strings.TrimPrefix(service, "git-"), "--stateless-rpc", "--http-backend-info-refs", "--", r.path}
	if service == UploadPack {
		args = []string{"upload-pack", "--strict", "--stateless-rpc", "--http-backend-info-refs", "--", r.path}
	}
	var first []byte
	// Version 2 has no service line, and does not exist for pushes.
	if !v2 || service == ReceivePack {
		first = append(appendPkt(nil, []byte("# service="+service+"\n")), "0000"...)
	}
	p := newPeer(w, req, r.dir.cfg.Idle)
	out := &late{p: p, before: func() error {
		header(w, "application/x-"+service+"-advertisement")
		_, err := p.Write(first)
		return err
	}}
	err := r.dir.transfer(req.Context(), quickLimit, call{repo: r, args: args, stdout: out, env: env})
	r.finish(w, req, out, err)
}

// ServeUploadPack answers POST git-upload-pack: a clone or a fetch.
func (r *Repo) ServeUploadPack(w http.ResponseWriter, req *http.Request) {
	p := newPeer(w, req, r.dir.cfg.Idle)
	body, err := requestBody(p, req, maxNegotiation)
	if err != nil {
		text(w, http.StatusUnsupportedMediaType, "%s", err)
		return
	}
	wants, err := io.ReadAll(body)
	if err != nil {
		if !errors.Is(err, ErrTooLarge) {
			err = errPkt
		}
		r.fail(w, req, err)
		return
	}
	env, _ := protocol(req)
	out := &late{p: p, before: func() error {
		header(w, "application/x-git-upload-pack-result")
		return nil
	}}
	err = r.dir.transfer(req.Context(), r.dir.cfg.Transfer, call{
		repo: r, args: []string{"upload-pack", "--strict", "--stateless-rpc", "--", r.path},
		stdin: bytes.NewReader(wants), stdout: out, env: env,
	})
	r.finish(w, req, out, err)
}

// late writes the header of the answer with its first byte, so that a command that fails
// at once can still be answered with a status.
type late struct {
	p      *peer
	before func() error
	begun  bool
}

func (l *late) Write(b []byte) (int, error) {
	if !l.begun {
		l.begun = true
		if err := l.before(); err != nil {
			return 0, err
		}
	}
	return l.p.Write(b)
}

func (r *Repo) finish(w http.ResponseWriter, req *http.Request, out *late, err error) {
	switch {
	case err == nil && !out.begun:
		_ = out.before()
	case err == nil || req.Context().Err() != nil:
	case !out.begun:
		r.fail(w, req, err)
	default:
		// git already told its client what went wrong, in the protocol; a shallow clone even
		// ends so regularly.
		r.dir.cfg.Log.DebugContext(req.Context(), "git: transfer ended badly", "repository", r.id, "error", err)
	}
}

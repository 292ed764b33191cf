package lambda

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	runtimePath = "/2018-06-01/runtime/"
	// maxAnswer is the most bytes a function may answer with.
	maxAnswer = 6<<20 + 100
	// bodyTime is how long a runtime may take to send what it says.
	bodyTime = 30 * time.Second
)

// ServeHTTP is the Runtime API for the one process of the instance (N-16). Other processes of the
// machine reach the port too: who cannot name the mark, which only that process is told, gets
// nothing, for an event may hold credentials.
func (i *instance) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	mark, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	what, ok := strings.CutPrefix("/"+rest, runtimePath)
	ok = ok && subtle.ConstantTimeCompare([]byte(mark), []byte(i.mark)) == 1
	switch {
	case !ok:
	case req.Method == http.MethodGet && what == "invocation/next":
		i.serveNext(w, req)
		return
	case req.Method == http.MethodPost && what == "init/error":
		i.serveInitError(w, req)
		return
	case req.Method == http.MethodPost && strings.HasPrefix(what, "invocation/"):
		id, kind, _ := strings.Cut(strings.TrimPrefix(what, "invocation/"), "/")
		if kind == "response" || kind == "error" {
			i.serveEnd(w, req, id, kind == "error")
			return
		}
	}
	refuse(w, http.StatusNotFound, "NotFound", "there is nothing at "+req.URL.Path)
}

// serveNext waits for an invocation and hands it over.
func (i *instance) serveNext(w http.ResponseWriter, req *http.Request) {
	var inv *invocation
	select {
	case inv = <-i.events:
	case <-req.Context().Done():
		return
	}
	i.mu.Lock()
	inv.begun = time.Now()
	begun := inv.begun
	i.mu.Unlock()
	i.tail.line("START RequestId: " + inv.id + " Version: " + versionText(i.v.Number))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(begun.Add(time.Duration(i.v.functionDoc.Timeout)*time.Second).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
	h.Set("Lambda-Runtime-Trace-Id", inv.trace)
	if inv.client != "" {
		h.Set("Lambda-Runtime-Client-Context", inv.client)
	}
	h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
	close(inv.taken)
	w.Write(inv.payload)
}

// turn waits until no other body is read: what a process says at the same time must not add up in
// the memory of the server. end ends the turn.
func (i *instance) turn(req *http.Request) (end func(), ok bool) {
	select {
	case i.reading <- struct{}{}:
		return func() { <-i.reading }, true
	case <-req.Context().Done():
		return nil, false
	}
}

// serveInitError takes the error of a start, once.
func (i *instance) serveInitError(w http.ResponseWriter, req *http.Request) {
	end, ok := i.turn(req)
	if !ok {
		return
	}
	defer end()
	i.mu.Lock()
	before := i.failed
	i.mu.Unlock()
	if before != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the start has failed already")
		return
	}
	body, err := said(w, req)
	if err != nil {
		return
	}
	i.mu.Lock()
	i.failed = &outcome{payload: body, failure: "Unhandled"}
	i.mu.Unlock()
	close(i.broken)
	accepted(w)
}

// serveEnd takes the answer of an invocation, once.
func (i *instance) serveEnd(w http.ResponseWriter, req *http.Request, id string, bad bool) {
	end, ok := i.turn(req)
	if !ok {
		return
	}
	defer end()
	i.mu.Lock()
	inv := i.current
	i.mu.Unlock()
	switch {
	case inv == nil || inv.id != id:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "the invocation "+id+" is not under way")
		return
	case inv.answered:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation "+id+" has been answered already")
		return
	}
	body, err := said(w, req)
	out := outcome{payload: body}
	switch {
	case err != nil && err != errLarge:
		return
	case err == errLarge:
		out = fails("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (%d bytes).", maxAnswer)
	case bad:
		out.failure = "Unhandled"
		if !json.Valid(body) {
			out = fails("Runtime.Unknown", "%s", body)
		}
	}
	inv.answered = true
	inv.done <- out
	if err == nil {
		accepted(w)
	}
}

var errLarge = fmt.Errorf("larger than %d bytes", maxAnswer)

// said reads what the runtime has to say; what it cannot be is answered.
func said(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(io.LimitReader(req.Body, maxAnswer+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "BadRequest", "the body could not be read")
	case len(body) > maxAnswer:
		err = errLarge
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", errLarge.Error())
	default:
		http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	return body, err
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": text})
}

package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// within sends requests of a test to a handler in this process.
func within(t *testing.T, f http.HandlerFunc) *http.Client {
	t.Helper()
	return &http.Client{Transport: &inProcess{handler: f, base: t.Context(), log: slog.New(slog.DiscardHandler)}}
}

func TestInProcessLooksLikeASocket(t *testing.T) {
	t.Parallel()
	type key struct{}
	c := within(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil || string(body) != "hello" || r.ContentLength != 5:
			t.Errorf("body %q, length %d, %v", body, r.ContentLength, err)
		case r.Host != "example.org:1" || r.URL.Host != "" || r.RequestURI != "/a%20b?c=d" || r.URL.Path != "/a b":
			t.Errorf("host %q, URI %q, URL %v", r.Host, r.RequestURI, r.URL)
		case r.Context().Value(key{}) != nil:
			t.Error("the handler sees the caller's context")
		case r.Header.Get("Expect") != "":
			t.Error("Expect is not for handlers")
		}
		w.Header().Set("X-Answer", "1")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "answer")
	})
	ctx := context.WithValue(t.Context(), key{}, "secret")
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://example.org:1/a%20b?c=d", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "answer" || res.StatusCode != http.StatusTeapot || res.Header.Get("X-Answer") != "1" || res.Header.Get("X-Late") != "" {
		t.Errorf("%v %q %v %v", res.StatusCode, body, res.Header, err)
	}
}

// Neither body is held back or kept whole: each line is answered before the next is sent.
func TestInProcessStreams(t *testing.T) {
	t.Parallel()
	c := within(t, func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			io.WriteString(w, lines.Text()+"!\n")
		}
	})
	send, body := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", send)
	if err != nil {
		t.Fatal(err)
	}
	go io.WriteString(body, "one\n")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answers := bufio.NewScanner(res.Body)
	if !answers.Scan() || answers.Text() != "one!" {
		t.Fatalf("%q", answers.Text())
	}
	io.WriteString(body, "two\n")
	if !answers.Scan() || answers.Text() != "two!" {
		t.Fatalf("%q", answers.Text())
	}
	body.Close()
	if answers.Scan() || answers.Err() != nil {
		t.Fatalf("%q %v", answers.Text(), answers.Err())
	}
}

func TestInProcessEndings(t *testing.T) {
	t.Parallel()
	t.Run("HEAD has no body", func(t *testing.T) {
		t.Parallel()
		c := within(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "7")
			io.WriteString(w, "nothing")
		})
		res, err := c.Head("http://x/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); len(b) != 0 || err != nil || res.ContentLength != 7 {
			t.Errorf("%q %v %d", b, err, res.ContentLength)
		}
	})
	for name, f := range map[string]http.HandlerFunc{
		"cut before the answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a panic":               func(http.ResponseWriter, *http.Request) { panic("of the handler") },
		"cut in the answer": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		},
		"less than announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := within(t, f).Get("http://x/")
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if err == nil {
				t.Error("the caller takes it for a whole answer")
			}
		})
	}
}

// A caller that leaves ends the handler: before the answer by its context, in the answer by
// closing the body.
func TestInProcessLeaving(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	arrived := make(chan struct{}, 1)
	c := within(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			ended <- r.Context().Err()
			return
		}
		for {
			if _, err := io.WriteString(w, "more and more "); err != nil {
				ended <- err
				return
			}
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-arrived
		stop()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	wait(t, ended)
	res, err := c.Get("http://x/endless")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	wait(t, ended)
}

func wait(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the handler noticed nothing")
		}
	case <-time.After(patience):
		t.Fatal("the handler goes on")
	}
}

func TestHub(t *testing.T) {
	t.Parallel()
	var h hub
	a, again, b := h.Changed("a"), h.Changed("a"), h.Changed("b")
	h.Notify("a")
	h.Notify("nobody")
	<-a
	<-again
	select {
	case <-b:
		t.Error("b did not change")
	case <-h.Changed("a"):
		t.Error("a change is told once")
	default:
	}
	if len(h.waiting) != 2 {
		t.Errorf("%d resources are remembered", len(h.waiting))
	}
}

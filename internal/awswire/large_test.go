package awswire_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// slow is a body that is read when somebody comes for it, and ends when it is told to.
type slow struct {
	read atomic.Bool
	end  chan struct{}
}

func (s *slow) Read([]byte) (int, error) {
	s.read.Store(true)
	<-s.end
	return 0, io.EOF
}

// upload sends a function whose code is as large as it says.
func upload(d http.Handler, size int64, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/2015-03-31/functions", body)
	r.ContentLength = size
	r.Header.Set("Authorization", signed("lambda"))
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

const mostCode = 70167211 // of CreateFunction

// W-9: large bodies are in memory for 256 MiB at most: the next waits for room, and is refused when none
// comes. Small ones go by.
func TestLargeBodiesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(pipelines{}, withFunctions)
		var bodies [5]*slow
		var codes [5]atomic.Int64
		for i := range bodies {
			bodies[i] = &slow{end: make(chan struct{})}
			size := int64(mostCode)
			if i == 1 {
				size = -1 // it does not say, so it may be as large as any
			}
			go func() { codes[i].Store(int64(upload(d, size, bodies[i]).Code)) }()
			synctest.Wait()
		}
		for i, body := range bodies {
			if body.read.Load() != (i < 3) {
				t.Errorf("body %d is read: %v", i, body.read.Load())
			}
		}
		if w := upload(d, 2, strings.NewReader("{}")); w.Code != 400 || !strings.Contains(w.Body.String(), "functionName") {
			t.Errorf("a small one: %d %s", w.Code, w.Body)
		}
		close(bodies[0].end)
		synctest.Wait()
		if !bodies[3].read.Load() || bodies[4].read.Load() {
			t.Errorf("the next is read: %v; the one after: %v", bodies[3].read.Load(), bodies[4].read.Load())
		}
		time.Sleep(30 * time.Second) // of the bubble
		synctest.Wait()
		if bodies[4].read.Load() || codes[4].Load() != http.StatusServiceUnavailable {
			t.Errorf("the last: %d", codes[4].Load())
		}
		for _, body := range bodies[1:4] {
			close(body.end)
		}
		synctest.Wait()
		for i := range 4 {
			if codes[i].Load() != 400 { // it was empty
				t.Errorf("%d: %d", i, codes[i].Load())
			}
		}
	})
}

// W-9: a large body of whom nobody knows is refused before it is kept, and told of; a small one is not
// worth asking twice.
func TestLargeBodiesOfStrangers(t *testing.T) {
	t.Parallel()
	var asked, told, believed atomic.Int32
	d := newDoor(pipelines{}, withFunctions, func(c *awswire.Config) {
		c.Plausible = func(_ *http.Request, service string) error {
			asked.Add(1)
			return fault.New("UnrecognizedClientException", "The security token included in the request is invalid. (%s)", service)
		}
		c.Refused = func(_ *http.Request, scope, operation string, _ error) {
			if scope == "lambda" && operation == "CreateFunction" {
				told.Add(1)
			}
		}
		before := c.Authenticate
		c.Authenticate = func(r *http.Request, service string, body []byte) (context.Context, error) {
			believed.Add(1)
			return before(r, service, body)
		}
	})
	body := &countdown{left: mostCode}
	w := upload(d, mostCode, body)
	if w.Code != 403 || !strings.Contains(w.Body.String(), "(lambda)") || w.Header().Get("Connection") != "close" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if read := mostCode - body.left; asked.Load() != 1 || told.Load() != 1 || believed.Load() != 0 || read > 17<<20 {
		t.Errorf("asked %d, told %d, believed %d, read %d", asked.Load(), told.Load(), believed.Load(), read)
	}
	if upload(d, awswire.MaxBody, strings.NewReader(strings.Repeat(" ", awswire.MaxBody))); asked.Load() != 1 || believed.Load() != 1 {
		t.Errorf("a small one: asked %d, believed %d", asked.Load(), believed.Load())
	}
}

// countdown is a body of so many zeros.
type countdown struct{ left int64 }

func (c *countdown) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), c.left)
	c.left -= n
	return int(n), nil
}

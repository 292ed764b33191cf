package lambda

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// N-16: a process that does not know the mark gets no event and ends no invocation.
func TestRuntimeAPINeedsMark(t *testing.T) {
	t.Parallel()
	i := &instance{mark: randomHex(16), v: &version{}, events: make(chan *invocation, 1), reading: make(chan struct{}, 1), broken: make(chan struct{})}
	i.current = &invocation{id: "one", done: make(chan outcome, 1), taken: make(chan struct{})}
	i.events <- i.current
	for _, mark := range []string{"", "/", "/x", "/" + strings.Repeat("0", 32), "/" + i.mark[:31], "//" + i.mark} {
		for _, call := range []string{"GET invocation/next", "POST invocation/one/response", "POST invocation/one/error", "POST init/error"} {
			method, what, _ := strings.Cut(call, " ")
			w := httptest.NewRecorder()
			i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+mark+runtimePath+what, strings.NewReader("{}")))
			if w.Code != http.StatusNotFound {
				t.Errorf("%s%s%s: %d %s", method, mark, what, w.Code, w.Body)
			}
		}
	}
	if len(i.events) != 1 || len(i.current.done) != 0 || i.failed != nil {
		t.Error("something was taken or ended")
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/"+i.mark+runtimePath+"invocation/one/response", strings.NewReader("{}")))
	if w.Code != http.StatusAccepted || len(i.current.done) != 1 {
		t.Errorf("with the mark: %d %s", w.Code, w.Body)
	}
}

// N-16, hostile: a process that sends many answers at once has the server read one at a time, and
// none once there is an answer.
func TestRuntimeAPIReadsOneBody(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"invocation/one/response", "invocation/one/error", "init/error"} {
		synctest.Test(t, func(t *testing.T) {
			i := &instance{mark: randomHex(16), v: &version{}, reading: make(chan struct{}, 1), broken: make(chan struct{})}
			i.current = &invocation{id: "one", done: make(chan outcome, 1), taken: make(chan struct{})}
			var read atomic.Int32
			more := make(chan struct{})
			codes := make(chan int, 20)
			for range cap(codes) {
				go func() {
					w := httptest.NewRecorder()
					body := io.MultiReader(readerFunc(func([]byte) (int, error) {
						read.Add(1)
						<-more
						return 0, io.EOF
					}), strings.NewReader("{}"))
					i.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/"+i.mark+runtimePath+what, body))
					codes <- w.Code
				}()
			}
			synctest.Wait()
			if n := read.Load(); n != 1 {
				t.Errorf("%s: %d bodies are read at the same time", what, n)
			}
			close(more)
			accepted := 0
			for range cap(codes) {
				if <-codes == http.StatusAccepted {
					accepted++
				}
			}
			if n := read.Load(); n != 1 || accepted != 1 {
				t.Errorf("%s: %d bodies read, %d accepted", what, n, accepted)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

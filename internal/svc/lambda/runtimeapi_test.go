package lambda

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// N-16: a process that does not know the mark gets no event and ends no invocation.
func TestRuntimeAPINeedsMark(t *testing.T) {
	t.Parallel()
	i := &instance{mark: randomHex(16), v: &version{}, events: make(chan *invocation, 1), broken: make(chan struct{})}
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

package lambda

import (
	"io"
	"strings"
	"sync"

	"penstock/internal/logstream"
)

// maxTail is how much of an invocation's log is shown with its answer.
const maxTail = 4 << 10

// tail passes output on to the log and keeps its end. A process writes to it from its start on.
type tail struct {
	to *logstream.Writer

	mu   sync.Mutex
	mask *strings.Replacer
	kept []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) hide(secrets ...string) {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***")
		}
	}
	t.mask = strings.NewReplacer(pairs...)
}

// Write takes output.
func (t *tail) Write(p []byte) (int, error) {
	t.keep(p)
	return t.to.Write(p)
}

// line writes a line of the server's own.
func (t *tail) line(text string) {
	t.keep([]byte(text + "\n"))
	t.to.Line(text)
}

func (t *tail) keep(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	// A secret that the cut would split must still be whole when it is looked for.
	if n := len(t.kept) - 8*maxTail; n > 0 {
		t.kept = append(t.kept[:0], t.kept[n:]...)
	}
}

// begin forgets what was written before, end gives the last of what was written since.
func (t *tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = t.kept[:0]
}

func (t *tail) end() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.mask.Replace(string(t.kept))
	return []byte(strings.ToValidUTF8(text[max(0, len(text)-maxTail):], ""))
}

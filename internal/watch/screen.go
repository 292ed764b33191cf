package watch

import (
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Screen redraws a few lines in place. Everything it changes of the terminal is put back by
// Close.
type Screen struct {
	out   io.Writer
	size  func() (width, height int)
	mu    sync.Mutex
	drawn int
	// eol ends a line: in raw mode the terminal adds no carriage return.
	eol     string
	begun   bool
	restore func()
}

// NewScreen makes a Screen on a terminal; nil if the file is none.
func NewScreen(f *os.File) *Screen {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return &Screen{out: f, eol: "\n", size: func() (int, int) {
		w, h, err := term.GetSize(fd)
		if err != nil || w <= 0 || h <= 0 {
			return 80, 24
		}
		return w, h
	}}
}

// Keys reads single keys of a terminal until Close: each is given to press, on another
// goroutine. Interrupting and suspending keys are keys as well. It does nothing if in is no
// terminal.
func (s *Screen) Keys(in *os.File, press func(key byte)) {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		return
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eol, s.restore = "\r\n", func() { _ = term.Restore(fd, before) }
	go func() {
		var b [1]byte
		for {
			if n, err := in.Read(b[:]); n == 0 || err != nil {
				return
			}
			press(b[0])
		}
	}()
}

// Width is how many columns a line may have.
func (s *Screen) Width() int {
	w, _ := s.size()
	return w
}

// Height is how many lines there can be.
func (s *Screen) Height() int {
	_, h := s.size()
	return max(h-1, 1)
}

// Draw shows the lines in place of those it drew last; those beyond the terminal's height are
// left out.
func (s *Screen) Draw(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.Height(); len(lines) > h {
		lines = lines[:h]
	}
	var b strings.Builder
	if !s.begun {
		b.WriteString("\x1b[?25l") // no cursor
		s.begun = true
	}
	s.rewind(&b)
	for _, l := range lines {
		b.WriteString(l + "\x1b[K" + s.eol)
	}
	b.WriteString("\x1b[J") // what was longer before
	s.drawn = len(lines)
	io.WriteString(s.out, b.String())
}

// Print writes lines that stay, above what is drawn next.
func (s *Screen) Print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	s.rewind(&b)
	for _, l := range lines {
		b.WriteString(l + "\x1b[K" + s.eol)
	}
	b.WriteString("\x1b[J")
	s.drawn = 0
	io.WriteString(s.out, b.String())
}

// Keep leaves what is drawn where it is; what is drawn next comes below.
func (s *Screen) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = 0
}

func (s *Screen) rewind(b *strings.Builder) {
	b.WriteByte('\r')
	for range s.drawn {
		b.WriteString("\x1b[A")
	}
}

// Close leaves what is drawn and puts the terminal back. It may be called again.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		io.WriteString(s.out, "\x1b[0m\x1b[?25h")
		s.begun = false
	}
	if s.restore != nil {
		s.restore()
		s.restore, s.eol = nil, "\n"
	}
}

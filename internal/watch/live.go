package watch

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// tailed is how many lines of a log are kept to be shown.
const tailed = 200

// Live draws snapshots in place, with the end of the running build's log below on demand.
type Live struct {
	Client *Client
	Screen *Screen
	Style  Style
	// Hint is the command that approves; Keys says that the key l works.
	Hint string
	Keys bool
	log  atomic.Bool

	mu    sync.Mutex
	last  *Snapshot
	build string
	tail  *Log
	lines []string
}

// ToggleLog shows or hides the log.
func (v *Live) ToggleLog() { v.log.Store(!v.log.Load()) }

// Show draws a snapshot.
func (v *Live) Show(ctx context.Context, s *Snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = s
	if v.log.Load() {
		v.read(ctx, s)
	}
	v.draw()
}

// Redraw draws the last snapshot again: a key was pressed.
func (v *Live) Redraw() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last != nil {
		v.draw()
	}
}

func (v *Live) draw() {
	s, width := v.last, v.Screen.Width()
	lines := v.Style.Lines(s, time.Now(), width, v.Hint)
	if v.log.Load() {
		room := max(v.Screen.Height()-len(lines)-1, 3)
		for _, text := range v.lines[max(0, len(v.lines)-room):] {
			lines = append(lines, v.Style.render(line{{text: "    | ", colour: dim}, {text: CleanLog(text), raw: true}}, width))
		}
	} else if v.Keys && s.Building() != nil {
		lines = append(lines, v.Style.render(line{{text: "  l: log of " + Clean(s.Building().Name), colour: dim}}, width))
	}
	v.Screen.Draw(lines)
}

// read takes the news of the log of the build that runs, or of the last one that did. What
// cannot be read is left out: the pipeline is what matters.
func (v *Live) read(ctx context.Context, s *Snapshot) {
	if b := s.Building(); b != nil && b.External != v.build {
		if l, err := v.Client.LogOf(b); err == nil {
			v.build, v.tail, v.lines = b.External, l, nil
		}
	}
	if v.tail == nil {
		return
	}
	lines, over, _ := v.tail.Next(ctx)
	v.lines = append(v.lines, lines...)
	v.lines = v.lines[max(0, len(v.lines)-tailed):]
	if over {
		v.tail = nil
	}
}

// Plain prints the changes between the snapshots it is shown, one per line, and the log of
// builds if it is to.
type Plain struct {
	Out    io.Writer
	Client *Client
	// Print writes one change; nil writes its line.
	Print func(Change) error
	// Log has the lines of builds printed too.
	Log  bool
	last Snapshot
	tail map[string]*Log
}

// Known takes a snapshot as known already: only what changes from there on is news.
func (p *Plain) Known(s *Snapshot) { p.last = *s }

// Show prints what is new.
func (p *Plain) Show(ctx context.Context, s *Snapshot) {
	if p.Log {
		p.logs(ctx, s)
	}
	for _, c := range Changes(&p.last, s, time.Now()) {
		if p.Print != nil {
			if err := p.Print(c); err != nil {
				return
			}
			continue
		}
		io.WriteString(p.Out, c.Line()+"\n")
	}
	p.last = *s
}

// logs prints what builds have written, before the change that ends them.
func (p *Plain) logs(ctx context.Context, s *Snapshot) {
	if p.tail == nil {
		p.tail = map[string]*Log{}
	}
	for i := range s.Stages {
		for j := range s.Stages[i].Actions {
			a := &s.Stages[i].Actions[j]
			l, known := p.tail[a.External]
			if !known {
				var err error
				if l, err = p.Client.LogOf(a); err != nil {
					continue
				}
				p.tail[a.External] = l
			}
			if l == nil {
				continue
			}
			lines, over, _ := l.Next(ctx)
			for _, text := range lines {
				io.WriteString(p.Out, "    | "+Clean(text)+"\n")
			}
			if over {
				p.tail[a.External] = nil
			}
		}
	}
}

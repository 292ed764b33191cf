package process

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// output copies the session's pipe to a writer with one small buffer, so a flood of output
// slows the build instead of filling memory.
type output struct {
	r     *os.File
	w     io.Writer
	ask   chan chan struct{}
	ended chan struct{}
}

func newOutput(r *os.File, w io.Writer) *output {
	if w == nil {
		w = io.Discard
	}
	o := &output{r: r, w: w, ask: make(chan chan struct{}, 1), ended: make(chan struct{})}
	go o.copy()
	return o
}

func (o *output) copy() {
	defer close(o.ended)
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		if n > 0 {
			// A failing log must not fail the build: the text is lost, the pipe is not.
			_, _ = o.w.Write(buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			o.r.SetReadDeadline(time.Time{})
			o.rest(buf)
			select {
			case c := <-o.ask:
				close(c)
			default:
			}
		default:
			return
		}
	}
}

// rest writes what is in the pipe now, without waiting for more.
func (o *output) rest(buf []byte) {
	raw, err := o.r.SyscallConn()
	if err != nil {
		return
	}
	// No more than a pipe holds: a process in the background may write for ever.
	for left := 64 << 10; left > 0; {
		var n int
		raw.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buf)
			return true
		})
		if n <= 0 {
			return
		}
		left -= n
		_, _ = o.w.Write(buf[:n])
	}
}

// drain returns when all that was in the pipe at the call has been written.
func (o *output) drain() {
	c := make(chan struct{})
	select {
	case o.ask <- c:
	case <-o.ended:
		return
	}
	// An expired deadline wakes the reader between two reads.
	o.r.SetReadDeadline(time.Unix(1, 0))
	select {
	case <-c:
	case <-o.ended:
	}
}

// finish writes what is left and ends the copying, also when a process that could not be
// found still holds the pipe.
func (o *output) finish() {
	o.drain()
	o.r.Close()
	<-o.ended
}

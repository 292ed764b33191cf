// Package logstream writes what runs on this server, a build or a function, to a stream of
// CloudWatch Logs: lines become events, and secrets stars.
package logstream

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

const (
	flushEvery  = 200 * time.Millisecond
	flushBytes  = 256 << 10
	maxPending  = 4 << 20   // then writing waits
	maxLine     = 100 << 10 // longer lines become several events
	maxPerBatch = 5000
	perEvent    = 26 // bytes that an event counts beside its text, as the service counts
)

// Writer is one log stream: lines become events, events go out in batches from one goroutine,
// secrets go out as ***. What cannot be written is lost: nothing fails for its log. It is safe
// for concurrent use; Close is called once.
type Writer struct {
	client        *cloudwatchlogs.Client
	group, stream string

	mu      sync.Mutex
	secrets []string
	mask    *strings.Replacer
	hold    int // bytes of an unfinished line that may begin a secret
	room    sync.Cond
	line    []byte
	pending []types.InputLogEvent
	size    int
	last    int64
	failed  error
	closed  bool
	wake    chan struct{}
	done    chan struct{}
}

// New makes a log that is written as cfg says; with group "" it discards everything. ctx
// carries values only.
func New(ctx context.Context, cfg aws.Config, group, stream string, secrets []string) *Writer {
	l := &Writer{group: group, stream: stream, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.room.L = &l.mu
	l.Conceal(secrets...)
	if group == "" {
		close(l.done)
		l.failed = errors.New("the log is off")
		return l
	}
	l.client = cloudwatchlogs.NewFromConfig(cfg)
	go l.send(context.WithoutCancel(ctx))
	return l
}

// Conceal adds secrets to what is masked from now on.
func (l *Writer) Conceal(secrets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range secrets {
		// Exact matches only, as in AWS; a very short value would eat the log. (A.2)
		if len(s) >= 4 && !slices.Contains(l.secrets, s) {
			l.secrets = append(l.secrets, s)
			l.hold = max(l.hold, len(s)-1)
		}
	}
	var pairs []string
	for _, s := range l.secrets {
		pairs = append(pairs, s, "***")
	}
	l.mask = strings.NewReplacer(pairs...)
}

// Write takes output. It waits while much of it is not written yet, and never fails.
func (l *Writer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 && l.failed == nil {
		i := bytes.IndexByte(p, '\n')
		if i >= 0 {
			l.line = append(l.line, p[:i+1]...)
			p = p[i+1:]
			l.emit(true)
			continue
		}
		l.line = append(l.line, p...)
		p = nil
		if len(l.line) > maxLine+l.hold {
			l.emit(false)
		}
	}
	return n, nil
}

// emit makes an event of the line, or of what of a long line cannot begin a secret.
func (l *Writer) emit(all bool) {
	text, keep := l.mask.Replace(string(l.line)), 0
	if !all {
		keep = min(l.hold, len(text))
	}
	l.line = append(l.line[:0], text[len(text)-keep:]...)
	l.add(text[:len(text)-keep])
}

func (l *Writer) add(text string) {
	for l.size > maxPending && l.failed == nil && !l.closed {
		l.room.Wait()
	}
	if l.failed != nil || l.closed {
		return
	}
	// Events of a batch must be in order, also when the clock is set back.
	l.last = max(l.last, time.Now().UnixMilli())
	l.pending = append(l.pending, types.InputLogEvent{Message: &text, Timestamp: new(l.last)})
	l.size += len(text) + perEvent
	if len(l.pending) == 1 || l.size >= flushBytes {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Line writes a line of the server's own, after what there is of an unfinished one.
func (l *Writer) Line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.emit(true)
	}
	l.add(l.mask.Replace(text) + "\n")
}

// Close writes what is left and gives the reason if the log could not be written.
func (l *Writer) Close() error {
	l.mu.Lock()
	if len(l.line) > 0 {
		l.emit(true)
	}
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	if l.client == nil {
		return nil
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-l.done
	return l.failed
}

func (l *Writer) send(ctx context.Context) {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		<-l.wake
		l.mu.Lock()
		soon := l.closed || l.size >= flushBytes
		l.mu.Unlock()
		if !soon {
			timer.Reset(flushEvery)
			select {
			case <-timer.C:
			case <-l.wake:
			}
		}
		for l.batch(ctx) {
		}
		l.mu.Lock()
		over := l.closed && len(l.pending) == 0 || l.failed != nil
		l.mu.Unlock()
		if over {
			return
		}
	}
}

// batch sends some events and tells whether there are more.
func (l *Writer) batch(ctx context.Context) bool {
	l.mu.Lock()
	n, size := 0, 0
	for n < len(l.pending) && n < maxPerBatch && (n == 0 || size+len(*l.pending[n].Message)+perEvent < 1<<20) {
		size += len(*l.pending[n].Message) + perEvent
		n++
	}
	events := l.pending[:n:n]
	l.mu.Unlock()
	if n == 0 {
		return false
	}
	err := l.put(ctx, events)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = l.pending[n:]
	l.size -= size
	if err != nil {
		l.failed, l.pending = err, nil
	}
	l.room.Broadcast()
	return len(l.pending) > 0
}

// put writes events, and makes the stream and the group where they are missing.
func (l *Writer) put(ctx context.Context, events []types.InputLogEvent) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &l.group, LogStreamName: &l.stream, LogEvents: events}
	_, err := l.client.PutLogEvents(ctx, in)
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return err
	}
	stream := &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &l.group, LogStreamName: &l.stream}
	_, err = l.client.CreateLogStream(ctx, stream)
	var exists *types.ResourceAlreadyExistsException
	if errors.As(err, &missing) {
		if _, err = l.client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &l.group}); err == nil || errors.As(err, &exists) {
			_, err = l.client.CreateLogStream(ctx, stream)
		}
	}
	if err != nil && !errors.As(err, &exists) {
		return err
	}
	_, err = l.client.PutLogEvents(ctx, in)
	return err
}

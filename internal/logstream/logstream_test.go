package logstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// sink takes PutLogEvents and answers nothing else.
type sink struct {
	mu       sync.Mutex
	messages []string
	calls    int
	largest  int
	refuse   bool
	hold     chan struct{} // if not nil, calls wait for it
}

func (s *sink) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.largest = max(s.largest, len(body))
	answer := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}
	if s.refuse {
		answer.StatusCode, answer.Body = 400, io.NopCloser(strings.NewReader(`{"__type":"AccessDeniedException","message":"no"}`))
		return answer, nil
	}
	var in struct {
		LogEvents []struct {
			Message   string
			Timestamp int64
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	for _, e := range in.LogEvents {
		s.messages = append(s.messages, e.Message)
	}
	return answer, nil
}

func (s *sink) log(secrets ...string) *Writer {
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: new("http://penstock.test"), HTTPClient: &http.Client{Transport: s},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	return New(context.Background(), cfg, "g", "s", secrets)
}

// N-11: lines arrive whole and in order however they were written, secrets do not. (A.2)
func TestLogLines(t *testing.T) {
	t.Parallel()
	s := &sink{}
	l := s.log("hunter22", "abc")
	for _, part := range []string{"one\ntw", "o\nthe word is hun", "ter22 and abc\n", "\n", "end hunter22"} {
		l.Write([]byte(part))
	}
	l.Line("[Container] agent hunter22")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(s.messages, "|")
	if !strings.HasPrefix(got, "one\n|two\n|the word is *** and abc\n|\n|end ***|[Container] ") || !strings.HasSuffix(got, " agent ***\n") {
		t.Errorf("%q", got)
	}
}

// N-11, hostile: an endless line becomes events of a bounded size and hides its secrets.
func TestLogEndlessLine(t *testing.T) {
	t.Parallel()
	s := &sink{}
	l := s.log("topsecret")
	want := 0
	for i := range 40_000 {
		text := fmt.Sprintf("x%06dtopsecret", i)
		l.Write([]byte(text[:9]))
		l.Write([]byte(text[9:]))
		want += len("x000000***")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(s.messages, "")
	if strings.Contains(all, "secret") || len(all) != want || s.largest > 1<<21 {
		t.Errorf("%d of %d bytes in %d events, largest call %d, secret %v", len(all), want, len(s.messages), s.largest, strings.Contains(all, "secret"))
	}
	for _, m := range s.messages {
		if len(m) > 2*maxLine {
			t.Errorf("an event of %d bytes", len(m))
		}
	}
}

// N-11: a flood waits for the log instead of filling memory, and goes out in few calls. An event
// takes memory also where its line is empty.
func TestLogFlood(t *testing.T) {
	t.Parallel()
	for _, length := range []int{100, 1} {
		s := &sink{hold: make(chan struct{})}
		l := s.log()
		line := []byte(strings.Repeat("y", length-1) + "\n")
		lines := 250_000
		written := make(chan struct{})
		go func() {
			defer close(written)
			for range lines {
				l.Write(line)
			}
		}()
		// The writer must have stopped by itself: with all calls held it cannot end.
		l.mu.Lock()
		for l.size <= maxPending {
			l.mu.Unlock()
			select {
			case <-written:
				t.Fatalf("the flood of lines of %d bytes did not wait", length)
			default:
			}
			l.mu.Lock()
		}
		l.mu.Unlock()
		close(s.hold)
		<-written
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if len(s.messages) != lines || s.calls > lines/1000 {
			t.Errorf("%d lines in %d calls", len(s.messages), s.calls)
		}
	}
}

// P-9: a log that nobody may write never stops a build, and says why it is missing.
func TestLogRefused(t *testing.T) {
	t.Parallel()
	s := &sink{refuse: true}
	l := s.log()
	for range 200_000 {
		l.Write([]byte("a line that is lost, and a long one at that: forty more bytes of text here\n"))
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("got %v", err)
	}
}

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"penstock/internal/store/storetest"
)

// takeover is how long a job of a server that stands still or is gone waits for another: a
// lease, two looks at it, and a busy machine.
const takeover = patience + 2*time.Minute

// newNodes gives servers, not started yet, on one PostgreSQL with one folder of objects and one
// master key, which the first makes at its first start.
func newNodes(t *testing.T, n int, url string) []*mortal {
	t.Helper()
	var nodes []*mortal
	for i := range n {
		m := newMortal(t)
		m.flags = []string{"--database", url}
		if nodes = append(nodes, m); i == 0 {
			continue
		}
		first := nodes[0].data
		if err := errors.Join(os.MkdirAll(m.data, 0o700), os.Symlink(filepath.Join(first, "blobs"), filepath.Join(m.data, "blobs"))); err != nil {
			t.Fatal(err)
		}
		m.flags = append(m.flags, "--master-key", filepath.Join(first, "master.key"))
	}
	return nodes
}

// runs are the connections that the commands of actions make: each is a hand-out, which lasts
// until its connection is closed.
type runs struct {
	t    *testing.T
	port int
	came chan net.Conn
}

func newRuns(t *testing.T) *runs {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &runs{t: t, port: l.Addr().(*net.TCPAddr).Port, came: make(chan net.Conn, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.came <- c
		}
	}()
	return r
}

// next waits for a hand-out.
func (r *runs) next(limit time.Duration, what string) net.Conn {
	r.t.Helper()
	select {
	case c := <-r.came:
		return c
	case <-time.After(limit):
		r.t.Fatalf("not within %s: %s", limit, what)
		return nil
	}
}

// none checks that there was no further hand-out.
func (r *runs) none(when string) {
	r.t.Helper()
	select {
	case <-r.came:
		r.t.Errorf("%s the job was handed out once more", when)
	default:
	}
}

// cut waits until the commands of a run are ended by their server.
func cut(t *testing.T, c net.Conn, limit time.Duration) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(limit))
	if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
		t.Errorf("the commands were not ended within %s", limit)
	}
	c.Close()
}

// Two servers on one PostgreSQL. One that stands still past its lease loses its job to the
// other, and when it goes on what it has to say is refused (S-315, S-317); one that ends in
// order lets its jobs go at once, and one that is killed does after a while; what is abandoned
// through one server ends on the other (S-194).
func TestNodesTakeOver(t *testing.T) {
	t.Parallel()
	url, _ := storetest.RestartablePostgres(t)
	nodes := newNodes(t, 2, url)
	a := newSiteOn(t, nodes[0])
	b := &site{mortal: nodes[1], role: a.role}
	r := newRuns(t)
	a.put("sources", "in.zip", entries(t, "file", "text"))
	make := action("Make", types.ActionCategoryCompute, "Commands", "tree", "")
	make.Commands = []string{fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; cat <&3 >/dev/null'`, r.port)}
	a.pipeline("p", action("Source", types.ActionCategorySource, "S3", "", "tree", "S3Bucket=sources", "S3ObjectKey=in.zip", "PollForSourceChanges=false"), make)
	start := func(s *site) {
		t.Helper()
		if _, err := s.pipelines.StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: new("p")}); err != nil {
			t.Fatal(err)
		}
	}
	serve := func(s *site) {
		t.Helper()
		s.start()
		s.await()
		s.connect()
	}
	succeeded := func(s *site, when string) {
		t.Helper()
		e := s.ended("p", "")
		out, err := s.pipelines.ListActionExecutions(t.Context(), &codepipeline.ListActionExecutionsInput{PipelineName: new("p"),
			Filter: &types.ActionExecutionFilter{PipelineExecutionId: e.PipelineExecutionId}})
		if err != nil {
			t.Fatal(err)
		}
		if e.Status != types.PipelineExecutionStatusSucceeded || len(out.ActionExecutionDetails) != 2 {
			t.Errorf("%s the execution is %s after %d runs of its actions", when, e.Status, len(out.ActionExecutionDetails))
		}
		r.none(when)
	}

	// a stands still.
	ofA := r.next(patience, "a hand-out to the first server")
	serve(b)
	a.process.Process.Signal(syscall.SIGSTOP)
	ofB := r.next(takeover, "a hand-out to the second")
	ofA.Close() // its commands have ended well
	a.process.Process.Signal(syscall.SIGCONT)
	within(t, patience, "an answer of the first", func() bool {
		_, err := a.pipelines.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: new("p")})
		return err == nil
	})
	if e := b.executions("p")[0]; e.Status != types.PipelineExecutionStatusInProgress {
		t.Errorf("a late result made the execution %s", e.Status)
	}
	ofB.Close()
	succeeded(b, "after a pause")
	succeeded(a, "after a pause, seen from the first server,")

	// b ends in order.
	a.stop()
	start(b)
	ofB = r.next(patience, "a hand-out to the only server")
	serve(a)
	began := time.Now()
	b.stop()
	ofA = r.next(takeover, "a hand-out after an orderly end")
	t.Logf("the job was let go after %s", time.Since(began))
	ofA.Close()
	ofB.Close()
	succeeded(a, "after an orderly end")

	// a is killed.
	start(a)
	ofA = r.next(patience, "a hand-out to the only server")
	serve(b)
	a.kill()
	ofB = r.next(takeover, "a hand-out after a kill")
	ofB.Close()
	ofA.Close()
	succeeded(b, "after a kill")

	// What b does is abandoned through a.
	start(b)
	ofB = r.next(patience, "a hand-out to the only server")
	serve(a)
	id := a.executions("p")[0].PipelineExecutionId
	if _, err := a.pipelines.StopPipelineExecution(t.Context(), &codepipeline.StopPipelineExecutionInput{PipelineName: new("p"), PipelineExecutionId: id, Abandon: true}); err != nil {
		t.Fatal(err)
	}
	cut(t, ofB, patience)
	if e := b.ended("p", ""); e.Status != types.PipelineExecutionStatusStopped || aws.ToString(e.PipelineExecutionId) != aws.ToString(id) {
		t.Errorf("abandoned: %s", e.Status)
	}
	r.none("after an abandonment")
	a.stop()
	b.stop()
}

// S-86, S-103, S-227, S-302 to S-317: two servers on one PostgreSQL are killed by turns, and the
// PostgreSQL is restarted between, in both ways, while clients of both work; what any of them
// was told stays true.
func TestNodesKilled(t *testing.T) {
	t.Parallel()
	url, restart := storetest.RestartablePostgres(t)
	kills := killCount(8)
	torment(t, newNodes(t, 2, url), kills, true, func(n int) {
		if n%3 == 1 {
			restart(n%2 == 0)
		}
	})
}

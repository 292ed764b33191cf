package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"golang.org/x/sys/unix"
)

// fullEnv tells a process of this test how its disk becomes full.
const fullEnv = "PENSTOCK_TEST_DISK"

// S-86, S-192, S-223: a full disk stops starts and uploads with an error that says so. Reads work,
// and executions can be stopped and approvals answered; nothing that was acknowledged is lost or
// damaged, and when there is space again work goes on by itself.
//
// The server is in a process of its own, whose data folder is a small file system if this
// user may mount one; otherwise the system is told to let no file grow.
func TestFullDisk(t *testing.T) {
	if kind := os.Getenv(fullEnv); kind != "" {
		fullDisk(t, kind)
		return
	}
	t.Parallel()
	run := func(kind string, attributes *syscall.SysProcAttr) (string, error) {
		ctx, stop := context.WithTimeout(t.Context(), 3*patience)
		defer stop()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), fullEnv+"="+kind), attributes
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	alone := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, err := run("mount", alone)
	if err != nil && (!strings.Contains(out, "=== RUN") || strings.Contains(out, "cannot mount")) {
		t.Logf("no file system of its own: %v", err)
		out, err = run("limit", nil)
	}
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}

// disk is a data folder that can become full.
type disk struct {
	path       string
	fill, free func() error
}

func newDisk(t *testing.T, kind string) disk {
	t.Helper()
	d := disk{path: t.TempDir()}
	if kind == "mount" {
		if err := unix.Mount("tmpfs", d.path, "tmpfs", 0, "size=32m"); err != nil {
			t.Fatalf("cannot mount: %v", err)
		}
		t.Cleanup(func() { unix.Unmount(d.path, unix.MNT_DETACH) })
		filler := filepath.Join(d.path, "filler")
		d.fill = func() error {
			f, err := os.Create(filler)
			if err != nil {
				return err
			}
			defer f.Close()
			for size := 1 << 20; size > 0; size /= 2 {
				for err == nil {
					_, err = f.Write(make([]byte, size))
				}
				if !errors.Is(err, syscall.ENOSPC) {
					return err
				}
				err = nil
			}
			return nil
		}
		d.free = func() error { return os.Remove(filler) }
		return d
	}
	signal.Ignore(syscall.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	d.fill = func() error {
		largest := int64(1)
		for _, name := range []string{"penstock.db", "penstock.db-wal"} {
			if info, err := os.Stat(filepath.Join(d.path, "data", name)); err == nil {
				largest = max(largest, info.Size())
			}
		}
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(largest), Max: was.Max})
	}
	d.free = func() error { return unix.Setrlimit(unix.RLIMIT_FSIZE, &was) }
	return d
}

func fullDisk(t *testing.T, kind string) {
	d, ctx := newDisk(t, kind), t.Context()
	data := filepath.Join(d.path, "data")
	a := start(t, data, "")
	gated(t, a, "one", "two", "three")
	cfg := a.administrator()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	pipelines, objects := codepipeline.NewFromConfig(cfg), s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	for _, name := range []string{"one", "two", "three"} {
		pending(t, pipelines, name)
	}
	two, three := state(t, pipelines, "two"), state(t, pipelines, "three")
	approve := func(token string) error {
		_, err := pipelines.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{PipelineName: aws.String("two"), StageName: aws.String("Gate"), ActionName: aws.String("Ask"),
			Token: &token, Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: aws.String("yes")}})
		return err
	}
	stop := func() error {
		_, err := pipelines.StopPipelineExecution(ctx, &codepipeline.StopPipelineExecutionInput{PipelineName: aws.String("three"), PipelineExecutionId: &three.execution, Abandon: true})
		return err
	}
	put := func() error {
		_, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("large"), Body: strings.NewReader(strings.Repeat("x", 8<<20))})
		return err
	}
	started := map[string]bool{}
	begin := func() error {
		out, err := pipelines.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: aws.String("one")})
		if err == nil {
			started[aws.ToString(out.PipelineExecutionId)] = true
		}
		return err
	}
	// What is written while the disk fills up gives the room away to whatever fills it.
	if err := a.rooms.cloudtrail.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.fill(); err != nil {
		t.Fatal(err)
	}
	var answer smithy.APIError // which a client that is still sending may not see
	if err := put(); err == nil || errors.As(err, &answer) && !unavailable(err) {
		t.Errorf("PutObject: %v", err)
	}
	var err error
	for n := 0; err == nil && n < 5000; n++ {
		err = begin()
	}
	if !unavailable(err) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("StartPipelineExecution: %v", err)
	}
	// There is room for what ends work. Where no file may grow that is no use, so it says so and
	// has not happened.
	approved, stopped := approve(two.token), stop()
	for what, err := range map[string]error{"PutApprovalResult": approved, "StopPipelineExecution": stopped} {
		if err != nil && (kind == "mount" || !unavailable(err)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Logf("%s: %d starts before the disk was full; then an approval: %v; a stop: %v", kind, len(started), approved, stopped)
	if now := state(t, pipelines, "two"); (now.gate == "Succeeded") != (approved == nil) {
		t.Errorf("after an approval that gave %v: %+v", approved, now)
	}
	if now := state(t, pipelines, "three"); (now.gate == "Stopped") != (stopped == nil) {
		t.Errorf("after a stop that gave %v: %+v", stopped, now)
	}
	if err := d.free(); err != nil {
		t.Fatal(err)
	}
	err = begin()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); unavailable(err); err = begin() { // it looks every second
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("with space again: %v", err)
		}
	}
	if err := errors.Join(err, put()); err != nil {
		t.Errorf("with space again: %v", err)
	}
	if approved != nil {
		approved = approve(two.token)
	}
	if stopped != nil {
		stopped = stop()
	}
	if err := errors.Join(approved, stopped); err != nil {
		t.Errorf("with space again: %v", err)
	}
	pending(t, pipelines, "one") // the worker took its jobs up again
	seen := map[string]bool{}
	for pages := codepipeline.NewListPipelineExecutionsPaginator(pipelines, &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String("one")}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.PipelineExecutionSummaries {
			seen[aws.ToString(e.PipelineExecutionId)] = true
		}
	}
	for id := range started {
		if !seen[id] {
			t.Errorf("execution %s was acknowledged and is not there", id)
		}
	}
	if len(seen) != len(started)+1 {
		t.Errorf("%d executions, %d were acknowledged", len(seen), len(started))
	}
	if out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("large")}); err != nil {
		t.Error(err)
	} else if n, err := io.Copy(io.Discard, out.Body); n != 8<<20 || err != nil {
		t.Errorf("the object has %d bytes: %v", n, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(data, "penstock.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the database: %s %v", verdict, err)
	}
}

// unavailable says that the server refused for want of space.
func unavailable(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "ServiceUnavailable")
}

// shown is what a pipeline of gated shows, with the token of its first approval.
type shown struct{ gate, token, execution string }

func state(t *testing.T, pipelines *codepipeline.Client, name string) shown {
	t.Helper()
	out, err := pipelines.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: &name})
	if err != nil {
		t.Fatal(fmt.Errorf("GetPipelineState: %w", err))
	}
	v, s := look(out), shown{}
	s.gate, s.token = v.gate, v.gateToken
	if e := out.StageStates[1].LatestExecution; e != nil {
		s.execution = aws.ToString(e.PipelineExecutionId)
	}
	return s
}

package codebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codebuild"
	"penstock/internal/auth"
	"penstock/internal/buildspec"
	"penstock/internal/logstream"
	"penstock/internal/mishap"
	"penstock/internal/runner"
	"penstock/internal/store"
)

// saveDelay is how long the store may lag behind a running build.
const saveDelay = 200 * time.Millisecond

// build is a build of this node from its start to its end.
type build struct {
	room       *Room
	row        store.CodeBuildBuild
	arn        string
	ctx        context.Context // ends with the reason the build has to end
	cancel     context.CancelCauseFunc
	queueTimer *time.Timer
	task       *task // nil for a build of a project

	saving    sync.Mutex // one save at a time, so that nothing is told twice; before mu
	mu        sync.Mutex // guards doc and saveTimer
	doc       *buildDoc
	saveTimer *time.Timer

	// What follows belongs to the goroutine of run.
	cfg        aws.Config
	artifacts  aws.Config // for sources and artifacts in S3
	log        buildLog
	workspace  string
	spec       *buildspec.Spec
	session    runner.Session
	release    func() // of the credentials
	output     *tail
	given      map[string]string // the environment beside the specification's
	secret     map[string]bool   // names of variables that the project or the start has from elsewhere
	status     string            // how the build will have ended; "" while all is well
	failing    bool
	told       bool // the shell knows that the build is failing
	exportName string
}

func (r *Room) newBuild(row store.CodeBuildBuild, doc *buildDoc) *build {
	b := &build{room: r, row: row, arn: doc.Build.Arn, doc: doc, log: buildLog{logstream.New(context.Background(), aws.Config{}, "", "", nil)}}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	return b
}

func (b *build) arnPrefix() string { return strings.TrimSuffix(b.arn, "build/"+b.row.ID) }

func (b *build) snapshot() *api.Build {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.doc.Build.clone()
}

// change alters the build and lets the store follow.
func (b *build) change(f func(r *record)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.doc.Build)
	if b.saveTimer == nil && b.task == nil {
		b.saveTimer = time.AfterFunc(saveDelay, b.saveSoon)
	}
}

func (b *build) saveSoon() {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	b.saveTimer = nil
	doc := *b.doc
	doc.Build = record{*b.doc.Build.clone()}
	b.mu.Unlock()
	if doc.Build.EndTime != nil {
		return // finish saves the end itself
	}
	err := b.room.save(context.Background(), b.row, &doc, false)
	if err == nil {
		b.mu.Lock()
		b.doc.Told = doc.Told
		b.mu.Unlock()
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		b.room.deps.Log.Warn("codebuild: build not saved yet", "build", b.row.ID, "error", err)
	}
	b.room.deps.Notify(doc.Build.Arn)
}

// result is how a phase ended.
type result struct {
	outcome buildspec.Outcome
	// code and message are the phase's context; empty for a success.
	code, message string
}

func failed(code, format string, args ...any) result {
	return result{buildspec.Failed, code, fmt.Sprintf(format, args...)}
}

// run takes the build through its phases. (A.3, A.5)
func (b *build) run() {
	parent, err := auth.Limited(b.ctx, auth.Caller{Account: b.doc.Account, Region: b.doc.Region, ARN: b.doc.CallerARN})
	if err != nil {
		parent = b.ctx
	}
	limit := time.Duration(*b.doc.Build.TimeoutInMinutes) * time.Minute
	ctx, cancel := context.WithTimeoutCause(parent, limit, errTimeout)
	defer cancel()
	b.change(func(r *record) { r.endPhase(time.Now(), "SUCCEEDED", "", "") })
	ended := false
	for phase := buildspec.Provisioning; phase != buildspec.Completed; {
		b.change(func(r *record) { r.beginPhase(time.Now(), phase) })
		res, action := b.phase(ctx, phase, ended)
		if ctx.Err() != nil && phase != buildspec.Finalizing {
			res.outcome = buildspec.Ended
		}
		status := "SUCCEEDED"
		switch res.outcome {
		case buildspec.Failed:
			status = "FAILED"
			b.failing = true
		case buildspec.Ended:
			var why string
			status, why = ending(ctx)
			if ctx.Err() != nil {
				res.code, res.message = "", why
			}
			ended = true
		}
		b.log.printf("Phase complete: %s State: %s", phase, status)
		b.log.printf("Phase context status code: %s Message: %s", res.code, res.message)
		b.change(func(r *record) { r.endPhase(time.Now(), status, res.code, res.message) })
		if status != "SUCCEEDED" && (b.status == "" || res.outcome == buildspec.Ended && b.status == "FAILED") {
			b.status = status
		}
		phase = buildspec.Next(phase, res.outcome, action)
	}
	b.clear()
	b.finish()
	b.remove()
}

// ending gives the status of a build that something ended, and its reason.
func ending(ctx context.Context) (status, why string) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStopped):
		return "STOPPED", ""
	case errors.Is(cause, errTimeout), errors.Is(cause, errQueued):
		return "TIMED_OUT", "Build has timed out."
	case cause != nil:
		return "FAULT", "The build was ended: " + cause.Error()
	}
	return "FAULT", ""
}

// finish ends the build in the store, then for everybody who asks.
func (b *build) finish() {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	if b.saveTimer != nil {
		b.saveTimer.Stop()
	}
	doc := *b.doc
	doc.Build = record{*b.doc.Build.clone()}
	b.mu.Unlock()
	if doc.Build.CurrentPhase == string(buildspec.Queued) {
		var why string
		b.status, why = ending(b.ctx)
		doc.Build.endPhase(time.Now(), b.status, "", why)
	}
	doc.Build.complete(time.Now(), cmp.Or(b.status, "SUCCEEDED"))
	mishap.At(mishap.BuildEnded)
	delay := 10 * time.Millisecond
	for tries := 1; b.task == nil; tries++ {
		err := b.room.save(context.Background(), b.row, &doc, true)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			break
		}
		b.room.deps.Log.Error("codebuild: end of build not saved", "build", b.row.ID, "error", err)
		// While the room runs nobody else can end the build; once it ends, the next start of
		// the node will.
		if tries >= 5 && b.room.ended() {
			break
		}
		time.Sleep(delay)
		delay = min(4*delay, 5*time.Second)
	}
	mishap.At(mishap.BuildSaved)
	b.mu.Lock()
	b.doc.Build = doc.Build
	b.mu.Unlock()
	b.cancel(nil)
	// From here on the store answers for the build.
	b.room.mu.Lock()
	delete(b.room.live, b.arn)
	b.room.mu.Unlock()
	if b.task != nil {
		close(b.task.done)
		return
	}
	b.room.deps.Notify(b.arn)
}

// phase does one phase.
func (b *build) phase(ctx context.Context, phase buildspec.PhaseName, ended bool) (result, buildspec.Action) {
	switch phase {
	case buildspec.Provisioning:
		return b.provision(ctx), buildspec.Unset
	case buildspec.DownloadSource:
		return b.download(ctx), buildspec.Unset
	case buildspec.UploadArtifacts:
		if res := b.collect(ctx); res.outcome != buildspec.Passed {
			return res, buildspec.Unset
		}
		return b.upload(ctx), buildspec.Unset
	case buildspec.Finalizing:
		if !ended {
			b.collect(ctx)
		}
		b.closeSession()
		return result{}, buildspec.Unset
	}
	p := b.spec.Phases[phase]
	return b.commands(ctx, phase, p), p.OnFailure.Action
}

// provision makes the workspace, the log and the credentials.
func (b *build) provision(ctx context.Context) result {
	bd := &b.doc.Build
	cfg, artifacts, err := b.role(ctx)
	if err != nil {
		return failed("CLIENT_ERROR", "CodeBuild is not authorized to perform: sts:AssumeRole on %s: %v", bd.ServiceRole, err)
	}
	b.cfg, b.artifacts = cfg, artifacts
	b.workspace = filepath.Join(b.room.deps.Work, bd.Id[strings.LastIndexByte(bd.Id, ':')+1:])
	if err := os.Mkdir(b.workspace, 0o700); err != nil {
		return result{buildspec.Ended, "INTERNAL_ERROR", "The build's folder could not be made: " + err.Error()}
	}
	b.given = map[string]string{}
	b.log = buildLog{logstream.New(ctx, cfg, bd.Logs.GroupName, bd.Logs.StreamName, nil)}
	b.output = &tail{to: b.log}
	if err := b.credentials(cfg, bd.ServiceRole); err != nil {
		return result{buildspec.Ended, "INTERNAL_ERROR", "The build's credentials cannot be served: " + err.Error()}
	}
	b.log.printf("Running on penstock with the %s runner", b.room.deps.Runner.Name())
	return result{}
}

// collect reads the exported variables and lets the shell go: what is uploaded does not
// change any more. (A.2)
func (b *build) collect(ctx context.Context) result {
	if b.session == nil {
		return result{}
	}
	names := slices.DeleteFunc(b.spec.Env.Exportable(), func(name string) bool { return b.secret[name] })
	expand := b.expandName(ctx)
	values, err := b.session.Values(ctx, append(names, expand...))
	b.closeSession()
	switch {
	case errors.Is(err, runner.ErrTooMuch):
		return failed("CLIENT_ERROR", "The exported environment variables are larger than %d bytes", runner.MaxValues)
	case err != nil:
		return result{buildspec.Ended, "INTERNAL_ERROR", "The exported environment variables could not be read: " + err.Error()}
	}
	b.exportName = values[artifactName]
	b.change(func(r *record) {
		r.ExportedEnvironmentVariables = nil
		for _, n := range names {
			if v, ok := values[n]; ok {
				r.ExportedEnvironmentVariables = append(r.ExportedEnvironmentVariables, api.ExportedEnvironmentVariable{Name: n, Value: v})
			}
		}
	})
	return result{}
}

func (b *build) closeSession() {
	if b.session != nil {
		b.session.Close()
		b.session = nil
	}
}

// remove removes what the build had on this machine. Nobody waits for it: the build is over.
func (b *build) remove() {
	if b.workspace == "" {
		return
	}
	if err := runner.Remove(b.workspace); err != nil {
		b.room.deps.Log.Warn("codebuild: workspace not removed", "build", b.row.ID, "error", err)
	}
	_ = os.Remove(b.workspace + ".zip")
}

// clear ends the session, the credentials and the log.
func (b *build) clear() {
	b.closeSession()
	if b.release != nil {
		b.release()
	}
	if err := b.log.Close(); err != nil {
		b.room.deps.Log.Warn("codebuild: log not written", "build", b.row.ID, "error", err)
		b.change(func(r *record) {
			p := &r.Phases[len(r.Phases)-1]
			p.Contexts = append(p.Contexts, api.PhaseContext{StatusCode: "CLIENT_ERROR", Message: "The build log could not be written: " + err.Error()})
		})
	}
}

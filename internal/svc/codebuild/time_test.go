package codebuild_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	api "penstock/internal/api/codebuild"
	"penstock/internal/runner/fake"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

// P-9: timeoutInMinutes ends a build, queuedTimeoutInMinutes one that never started.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t, storetest.SQLite(t), fake.Runner{}, func(d *codebuild.Deps) {
			d.MaxBuilds = 1
			d.AWS = func(context.Context, string, string) (aws.Config, error) { return aws.Config{Region: "us-east-1"}, nil }
		})
		defer b.stop()
		b.project(func(in *api.CreateProjectInput) {
			in.LogsConfig = &api.LogsConfig{CloudWatchLogs: &api.CloudWatchLogsConfig{Status: "DISABLED"}}
		})
		long := func(timeout, queued int32) string {
			return b.inline("version: 0.2\nphases: {build: {commands: ['sleep 100h']}}", func(in *api.StartBuildInput) {
				in.TimeoutInMinutesOverride, in.QueuedTimeoutInMinutesOverride = &timeout, &queued
			}).Id
		}
		first, second, third := long(30, 5), long(7, 10), long(7, 60)
		for _, c := range []struct {
			id, phase string
			after     time.Duration
		}{{second, "QUEUED", 10 * time.Minute}, {first, "BUILD", 30 * time.Minute}, {third, "BUILD", 37 * time.Minute}} {
			for !*b.get(c.id).BuildComplete {
				<-b.changes
			}
			done := b.get(c.id)
			took := done.EndTime.Sub(*done.StartTime)
			found := ""
			for _, p := range done.Phases {
				if p.PhaseStatus == "TIMED_OUT" && p.Contexts[0].Message == "Build has timed out." {
					found = p.PhaseType
				}
			}
			if done.BuildStatus != "TIMED_OUT" || found != c.phase || took < c.after || took > c.after+time.Second {
				t.Errorf("%s in %q after %v: %s", done.BuildStatus, found, took, phases(done))
			}
		}
	})
}

// P-9: the end of a build is not lost when the database cannot take it for a while.
func TestEndIsSavedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		url := storetest.SQLiteURL(t)
		b := start(t, storetest.Open(t, url), fake.Runner{}, func(d *codebuild.Deps) {
			d.AWS = func(context.Context, string, string) (aws.Config, error) { return aws.Config{Region: "us-east-1"}, nil }
		})
		defer b.stop()
		b.project(func(in *api.CreateProjectInput) {
			in.LogsConfig = &api.LogsConfig{CloudWatchLogs: &api.CloudWatchLogsConfig{Status: "DISABLED"}}
		})
		id := b.inline("version: 0.2\nphases: {build: {commands: ['sleep 30m']}}").Id
		raw, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		time.Sleep(20 * time.Minute)
		if _, err := raw.Exec(`CREATE TRIGGER refuse BEFORE UPDATE ON codebuild_build BEGIN SELECT RAISE(ABORT, 'no'); END`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if *b.get(id).BuildComplete {
			t.Fatal("the build ended although its end could not be saved")
		}
		if _, err := raw.Exec(`DROP TRIGGER refuse`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.get(id); !*got.BuildComplete || got.BuildStatus != "SUCCEEDED" {
			t.Errorf("the build is %s, complete %v", got.BuildStatus, *got.BuildComplete)
		}
	})
}

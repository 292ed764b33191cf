package codebuild_test

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	api "penstock/internal/api/codebuild"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

// N-10, S-238: rules are told of a build's states and of the ends of its phases, each once, in
// their order, in CodeBuild's shape, in the transactions that keep them.
func TestEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var told []store.Outgoing
		b := start(t, db, real(t), func(d *codebuild.Deps) {
			d.Tell = func(_ context.Context, tx *store.Tx, o store.Outgoing) error {
				tx.AfterCommit(func() {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, o)
				})
				return nil
			}
		})
		b.project()
		build := b.end(b.inline("version: 0.2\nphases:\n  build:\n    commands: [exit 3]\n", func(in *api.StartBuildInput) {
			in.EnvironmentVariablesOverride = []api.EnvironmentVariable{{Name: "OVER", Value: "start"}}
		}).Id)
		b.stop() // the end is kept
		var kinds []string
		for _, o := range told {
			if o.Source != "aws.codebuild" || o.Account != "000000000000" || o.Region != "us-east-1" || o.Resource != build.Arn || o.At.IsZero() {
				t.Errorf("%+v", o)
			}
			var d map[string]any
			if err := json.Unmarshal([]byte(o.Detail), &d); err != nil {
				t.Fatal(err)
			}
			kind := "phase"
			for _, name := range []string{"build-status", "completed-phase", "completed-phase-status"} {
				if v, ok := d[name].(string); ok {
					kind += " " + v
				}
			}
			kinds = append(kinds, kind)
			if d["project-name"] != "p" || d["build-id"] != build.Arn || d["version"] != "1" {
				t.Errorf("%v", d)
			}
		}
		want := []string{"phase IN_PROGRESS", "phase SUBMITTED SUCCEEDED", "phase QUEUED SUCCEEDED", "phase PROVISIONING SUCCEEDED", "phase DOWNLOAD_SOURCE SUCCEEDED",
			"phase INSTALL SUCCEEDED", "phase PRE_BUILD SUCCEEDED", "phase BUILD FAILED", "phase POST_BUILD SUCCEEDED", "phase UPLOAD_ARTIFACTS SUCCEEDED",
			"phase FINALIZING SUCCEEDED", "phase FAILED"}
		if !slices.Equal(kinds, want) {
			t.Fatalf("got  %q\nwant %q", kinds, want)
		}
		const moment = `[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d\d:\d\d [AP]M`
		end := told[len(told)-1]
		for _, form := range []string{
			`^\{"build-status":"FAILED","project-name":"p","build-id":"` + build.Arn + `","additional-information":\{"environment":\{"image":"aws/codebuild/standard:7.0",` +
				`"privileged-mode":false,"compute-type":"BUILD_GENERAL1_SMALL","type":"LINUX_CONTAINER","environment-variables":\[` +
				`\{"name":"FROM","type":"PLAINTEXT","value":"project"\},\{"name":"OVER","type":"PLAINTEXT","value":"start"\}\]\},"timeout-in-minutes":60,` +
				`"build-complete":true,"initiator":"me","build-start-time":"` + moment + `","source":\{"type":"NO_SOURCE"\},"logs":\{"group-name":"/aws/codebuild/p",` +
				`"stream-name":"` + strings.TrimPrefix(build.Id, "p:") + `","deep-link":"[^"]+"\},"phases":\[\{"phase-context":\[\],"start-time":"` + moment + `","end-time":"` + moment +
				`","duration-in-seconds":0,"phase-type":"SUBMITTED","phase-status":"SUCCEEDED"\},`,
			`"phase-context":\["COMMAND_EXECUTION_ERROR: [^"]*exit status 3[^"]*"\],.*"phase-type":"BUILD","phase-status":"FAILED"\}`,
			`\{"phase-context":\[\],"start-time":"` + moment + `","phase-type":"COMPLETED"\}\]\},"current-phase":"COMPLETED","current-phase-context":"\[\]","version":"1"\}$`,
		} {
			if !regexp.MustCompile(form).MatchString(end.Detail) || end.DetailType != "CodeBuild Build State Change" {
				t.Errorf("got  %s\nwant %s", end.Detail, form)
			}
		}
		form := `^\{"completed-phase":"BUILD","project-name":"p","build-id":"` + build.Arn + `","completed-phase-context":"\[COMMAND_EXECUTION_ERROR: .*","additional-information":\{.*\},` +
			`"completed-phase-status":"FAILED","completed-phase-duration-seconds":\d+,"version":"1","completed-phase-start":"` + moment + `","completed-phase-end":"` + moment + `"\}$`
		if p := told[7]; p.DetailType != "CodeBuild Build Phase Change" || !regexp.MustCompile(form).MatchString(p.Detail) {
			t.Errorf("got  %s\nwant %s", p.Detail, form)
		}
	})
}

package notifications

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/codestarnotifications"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	account  = "000000000000"
	region   = "us-east-1"
	web      = "arn:aws:codepipeline:us-east-1:000000000000:web"
	topic    = "arn:aws:sns:us-east-1:000000000000:news"
	patience = 5 * time.Minute
)

// published is a message that a topic got.
type published struct{ topic, message, group string }

// bench is a room whose topics are one server that tells what it gets.
type bench struct {
	*Room
	ctx context.Context
	got chan published

	mu   sync.Mutex
	deny bool
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := &bench{got: make(chan published, 1000)}
	b.ctx = auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::000000000000:user/ann"})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := url.ParseQuery(string(text))
		if err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		deny := b.deny
		b.mu.Unlock()
		if deny {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>")
		} else {
			_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>")
		}
		b.got <- published{form.Get("TopicArn"), form.Get("Message"), form.Get("MessageGroupId")}
	}))
	t.Cleanup(srv.Close)
	b.Room = New(Deps{DB: db, AWS: func(a, r, rule, to string) aws.Config {
		if a != account || r != region || !strings.HasPrefix(rule, ruleARN(account, region, "")) || !strings.HasPrefix(to, "arn:aws:sns:") {
			t.Errorf("%s %s %s %s", a, r, rule, to)
		}
		return aws.Config{Region: r, BaseEndpoint: &srv.URL, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) next(t *testing.T) published {
	t.Helper()
	select {
	case p := <-b.got:
		return p
	case <-time.After(patience):
		t.Fatal("nothing is published")
		panic("not reached")
	}
}

func (b *bench) rule(t *testing.T, name, resource, detail string, events ...string) string {
	t.Helper()
	out, err := b.CreateNotificationRule(b.ctx, &api.CreateNotificationRuleInput{Name: name, Resource: resource, DetailType: detail, EventTypeIds: events,
		Targets: []api.Target{{TargetType: "SNS", TargetAddress: topic}}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Arn
}

// allOf gives the ids of all sorts of events of a service.
func allOf(service string) (ids []string) {
	for _, k := range kinds {
		if k.service == service {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// S-340, S-350, S-353, S-354, W-38: the changes of a pipeline reach a rule's topic re-shaped, in
// their order, with what a full notification has beside the event; a basic one has the event.
func TestNotifications(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		ctx := t.Context()
		c := conductor.New(conductor.Config{DB: db, Builtin: pipeline.BuiltinTypes(), Log: slog.New(slog.DiscardHandler),
			Deliver: func(_ context.Context, list []store.Outgoing) error { return b.Take(ctx, list) }})
		rule := b.rule(t, "all", web, "FULL", allOf("CodePipeline")...)
		action := func(name, category, provider string, configuration map[string]string) pipeline.Action {
			return pipeline.Action{Name: name, RunOrder: 1, Configuration: configuration, ActionTypeID: pipeline.ActionTypeID{Category: category, Owner: "AWS", Provider: provider, Version: "1"}}
		}
		d := &pipeline.Declaration{Name: "web", Version: 1, PipelineType: pipeline.V1, ExecutionMode: pipeline.Superseded, ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "b"},
			Stages: []pipeline.Stage{
				{Name: "Source", Actions: []pipeline.Action{action("Get", "Source", "CodeCommit", map[string]string{"RepositoryName": "app", "BranchName": "main", "PollForSourceChanges": "false"})}},
				{Name: "Ask", Actions: []pipeline.Action{action("Look", "Approval", "Manual", map[string]string{"CustomData": "a < b", "ExternalEntityLink": "https://example.org/"})}}}}
		var s *engine.State
		if err := db.Update(ctx, func(tx *store.Tx) (err error) {
			s, err = c.CreateTx(ctx, tx, "id", account, region, "seed", d, "me")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		job := func() engine.JobRef {
			t.Helper()
			for _, e := range s.Executions {
				for _, run := range e.LatestRuns() {
					if run.Job != "" {
						return engine.JobRef{ID: run.Job, Execution: e.ID, Run: run.ID}
					}
				}
			}
			t.Fatal("no job")
			panic("not reached")
		}
		apply := func(ev engine.Event) {
			t.Helper()
			var err error
			if s, err = c.Apply(ctx, "id", ev); err != nil {
				t.Fatal(err)
			}
		}
		stop, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- c.Run(stop) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		read := func(want string) {
			t.Helper()
			p := b.next(t)
			form := strings.NewReplacer("HEAD", `"region":"us-east-1","source":"aws.codepipeline","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ","notificationRuleArn":"`+rule+`","detail":\{"pipeline":"web","execution-id":"[0-9a-f-]{36}","start-time":"[^"]+"`,
				"TAIL", `"version":1.0,"pipeline-execution-attempt":1.0`, "RESOURCES", `"resources":\["`+web+`"\]`, "TYPE", `\{"category":"Approval","owner":"AWS","provider":"Manual","version":"1"\}`).Replace(want)
			if p.topic != topic || p.group == "" || !regexp.MustCompile(`^\{"account":"000000000000","detailType":"CodePipeline `+form+`\}$`).MatchString(p.message) {
				t.Errorf("got  %+v\nwant %s", p, form)
			}
		}
		read(`Pipeline Execution State Change",HEAD,"state":"STARTED",TAIL,"execution-trigger":\{"trigger-detail":"me","trigger-type":"CreatePipeline"\}\},RESOURCES,"additionalAttributes":\{\}`)
		read(`Stage Execution State Change",HEAD,"state":"STARTED",TAIL,"stage":"Source"\},RESOURCES,"additionalAttributes":\{"sourceActions":\[\{"sourceActionName":"Get","sourceActionProvider":"CodeCommit","sourceActionVariables":\{"BranchName":"main","RepositoryName":"app"\}\}\]\}`)
		read(`Action Execution State Change",HEAD,"state":"STARTED",TAIL,"stage":"Source","action":"Get",.*\},RESOURCES,"additionalAttributes":\{\}`)
		apply(engine.Succeed{Job: job(), Revision: &pipeline.Revision{ID: "c1"}})
		read(`Action Execution State Change",HEAD,"state":"SUCCEEDED",.*"additionalAttributes":\{\}`)
		read(`Stage Execution State Change",HEAD,"state":"SUCCEEDED",.*"additionalAttributes":\{\}`)
		read(`Stage Execution State Change",HEAD,"state":"STARTED",TAIL,"stage":"Ask"\},RESOURCES,"additionalAttributes":\{\}`)
		read(`Action Execution State Change",HEAD,"state":"STARTED",.*"additionalAttributes":\{"customData":"a < b","externalEntityLink":"https://example.org/"\}`)

		// A basic rule beside it has the event and no more.
		if _, err := b.DeleteNotificationRule(b.ctx, &api.DeleteNotificationRuleInput{Arn: rule}); err != nil {
			t.Fatal(err)
		}
		var token string
		for _, e := range s.Executions {
			for _, run := range e.LatestRuns() {
				token += run.Token
			}
		}
		rule = b.rule(t, "failed", web, "FULL", "codepipeline-pipeline-manual-approval-failed", "codepipeline-pipeline-pipeline-execution-failed")
		basic := b.rule(t, "basic", web, "BASIC", "codepipeline-pipeline-pipeline-execution-failed")
		off := b.rule(t, "off", web, "FULL", allOf("CodePipeline")...)
		if _, err := b.UpdateNotificationRule(b.ctx, &api.UpdateNotificationRuleInput{Arn: off, Status: "DISABLED"}); err != nil {
			t.Fatal(err)
		}
		apply(engine.Approve{Stage: "Ask", Action: "Look", Token: token, Status: "Rejected", Summary: "not today", By: "ann"})
		var messages []string
		for range 3 {
			messages = append(messages, b.next(t).message)
		}
		slices.Sort(messages) // those of different rules are in no order; by their detail types they sort
		for i, form := range []string{
			`^\{"account":"000000000000","detailType":"CodePipeline Action .*"notificationRuleArn":"` + rule + `",.*"state":"FAILED",.*"additionalAttributes":\{"additionalInformation":"[^"]*not today[^"]*"\}\}$`,
			`"notificationRuleArn":"` + rule + `",.*"state":"FAILED",.*"additionalAttributes":\{"failedActionCount":1,"failedActions":\[\{"action":"Look","additionalInformation":"[^"]*not today[^"]*"\}\],"failedStage":"Ask"\}\}$`,
			`"notificationRuleArn":"` + basic + `",.*"state":"FAILED",.*"additionalAttributes":\{\}\}$`,
		} {
			if !slices.ContainsFunc(messages, regexp.MustCompile(form).MatchString) {
				t.Errorf("%d: none of %q is %s", i, messages, form)
			}
		}
	})
}

// S-354: which rules an event is for, by what they may call it.
func TestSeen(t *testing.T) {
	t.Parallel()
	const build = "arn:aws:codebuild:us-east-1:000000000000:build/p:1"
	for _, x := range []struct{ source, kind, detail, ids, resource string }{
		{"aws.codepipeline", "CodePipeline Pipeline Execution State Change", `{"state":"SUPERSEDED"}`, "codepipeline-pipeline-pipeline-execution-superseded", web},
		{"aws.codepipeline", "CodePipeline Pipeline Execution State Change", `{"state":"STOPPED"}`, "", web},
		{"aws.codepipeline", "CodePipeline Stage Execution State Change", `{"state":"RESUMED"}`, "codepipeline-pipeline-stage-execution-resumed", web},
		{"aws.codepipeline", "CodePipeline Action Execution State Change", `{"state":"CANCELED","type":{"category":"Build"}}`, "codepipeline-pipeline-action-execution-canceled", web},
		{"aws.codepipeline", "CodePipeline Action Execution State Change", `{"state":"ABANDONED"}`, "", web},
		{"aws.codepipeline", "CodePipeline Action Execution State Change", `{"state":"STARTED","type":{"category":"Approval"}}`, "codepipeline-pipeline-manual-approval-needed codepipeline-pipeline-action-execution-started", web},
		{"aws.codebuild", "CodeBuild Build State Change", `{"build-status":"IN_PROGRESS","project-name":"p"}`, "codebuild-project-build-state-in-progress", "arn:aws:codebuild:us-east-1:000000000000:project/p"},
		{"aws.codebuild", "CodeBuild Build State Change", `{"build-status":"TIMED_OUT","project-name":"p"}`, "codebuild-project-build-state-failed", "arn:aws:codebuild:us-east-1:000000000000:project/p"},
		{"aws.codebuild", "CodeBuild Build Phase Change", `{"completed-phase-status":"FAILED","project-name":"p"}`, "codebuild-project-build-phase-failure", "arn:aws:codebuild:us-east-1:000000000000:project/p"},
		{"aws.codecommit", "CodeCommit Repository State Change", `{"event":"referenceCreated"}`, "codecommit-repository-branches-and-tags-created", "arn:aws:codecommit:us-east-1:000000000000:r"},
		{"aws.s3", "Object Created", `{}`, "", ""},
	} {
		o := store.Outgoing{Account: account, Region: region, Source: x.source, DetailType: x.kind, Detail: x.detail, Resource: x.resource}
		if x.source == "aws.codebuild" {
			o.Resource = build
		}
		h, ok := seen(o)
		if ok != (x.ids != "") || ok && (strings.Join(h.ids, " ") != x.ids || h.resource != x.resource) {
			t.Errorf("%s %s: %v %+v", x.kind, x.detail, ok, h)
		}
	}
}

// S-354: the limits and forms of rules, and what is refused.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	const failed = "codepipeline-pipeline-pipeline-execution-failed"
	good := func() *api.CreateNotificationRuleInput {
		return &api.CreateNotificationRuleInput{Name: "n", Resource: web, DetailType: "FULL", EventTypeIds: []string{failed}, Targets: []api.Target{{TargetType: "SNS", TargetAddress: topic}}}
	}
	for name, x := range map[string]struct {
		change func(*api.CreateNotificationRuleInput)
		want   string
	}{
		"chat": {func(in *api.CreateNotificationRuleInput) { in.Targets[0].TargetType = "AWSChatbotSlack" }, "AWSChatbotSlack is not supported"},
		"region of topic": {func(in *api.CreateNotificationRuleInput) {
			in.Targets[0].TargetAddress = "arn:aws:sns:eu-west-1:000000000000:news"
		}, "same account and Region"},
		"account": {func(in *api.CreateNotificationRuleInput) {
			in.Resource = "arn:aws:codepipeline:us-east-1:111111111111:web"
		}, "not of account"},
		"region": {func(in *api.CreateNotificationRuleInput) {
			in.Resource = "arn:aws:codepipeline:eu-west-1:000000000000:web"
		}, "not of account"},
		"resource": {func(in *api.CreateNotificationRuleInput) { in.Resource = "arn:aws:sqs:us-east-1:000000000000:q" }, "no pipeline"},
		"event": {func(in *api.CreateNotificationRuleInput) {
			in.EventTypeIds = []string{"codecommit-repository-comments-on-commits"}
		}, "does not exist"},
		"other's event": {func(in *api.CreateNotificationRuleInput) {
			in.EventTypeIds = []string{"codebuild-project-build-state-failed"}
		}, "is of a Project"},
		"no event": {func(in *api.CreateNotificationRuleInput) { in.EventTypeIds = []string{} }, "at least one"},
		"tag":      {func(in *api.CreateNotificationRuleInput) { in.Tags = map[string]string{"AWS:x": "y"} }, "reserved"},
	} {
		in := good()
		x.change(in)
		if _, err := b.CreateNotificationRule(b.ctx, in); fault.Code(err) != "ValidationException" || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first := good()
	first.ClientRequestToken = "t"
	one, err := b.CreateNotificationRule(b.ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.CreateNotificationRule(b.ctx, first); err != nil || again.Arn != one.Arn {
		t.Errorf("%v %v", again, err)
	}
	first.DetailType = "BASIC"
	if _, err := b.CreateNotificationRule(b.ctx, first); fault.Code(err) != "ConcurrentModificationException" {
		t.Error(err)
	}
	if _, err := b.CreateNotificationRule(b.ctx, good()); fault.Code(err) != "ResourceAlreadyExistsException" {
		t.Error(err)
	}
	for i := range maxOfResource - 1 {
		b.rule(t, fmt.Sprint("n", i), web, "FULL", failed)
	}
	in := good()
	in.Name = "eleventh"
	if _, err := b.CreateNotificationRule(b.ctx, in); fault.Code(err) != "LimitExceededException" {
		t.Error(err)
	}
	for i := range maxTargets {
		_, err = b.Subscribe(b.ctx, &api.SubscribeInput{Arn: one.Arn, Target: &api.Target{TargetType: "SNS", TargetAddress: fmt.Sprint(topic, i)}})
		if want := i == maxTargets-1; (fault.Code(err) == "ValidationException") != want {
			t.Errorf("target %d: %v", i+2, err)
		}
	}
	if _, err := b.UpdateNotificationRule(b.ctx, &api.UpdateNotificationRuleInput{Arn: one.Arn, Name: "n1"}); fault.Code(err) != "ValidationException" {
		t.Error(err)
	}
	if _, err := b.DescribeNotificationRule(b.ctx, &api.DescribeNotificationRuleInput{Arn: ruleARN(account, region, "none")}); fault.Code(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
	if _, err := b.DescribeNotificationRule(b.ctx, &api.DescribeNotificationRuleInput{Arn: ruleARN("111111111111", region, "none")}); fault.Code(err) != "ValidationException" {
		t.Error(err)
	}
	nobody := auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region})
	nobody, err = auth.Limited(nobody, auth.Caller{Account: account, Region: region})
	if err == nil {
		_, err = b.ListNotificationRules(nobody, &api.ListNotificationRulesInput{})
	}
	if err == nil {
		t.Error("rules are listed for anybody")
	}
}

// S-354: what the lists show, page by page, and what becomes of targets.
func TestLists(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	started := b.rule(t, "started", web, "FULL", "codepipeline-pipeline-pipeline-execution-started", "codepipeline-pipeline-stage-execution-started")
	build := b.rule(t, "build", "arn:aws:codebuild:us-east-1:000000000000:project/p", "BASIC", "codebuild-project-build-state-failed")
	var ids []string
	token := ""
	for {
		out, err := b.ListEventTypes(b.ctx, &api.ListEventTypesInput{MaxResults: new(int32(7)), NextToken: token, Filters: []api.ListEventTypesFilter{{Name: "SERVICE_NAME", Value: "CodePipeline"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.EventTypes {
			ids = append(ids, e.EventTypeId)
		}
		if token = out.NextToken; token == "" {
			break
		}
	}
	want := []string{
		"codepipeline-pipeline-action-execution-canceled", "codepipeline-pipeline-action-execution-failed", "codepipeline-pipeline-action-execution-started", "codepipeline-pipeline-action-execution-succeeded",
		"codepipeline-pipeline-manual-approval-failed", "codepipeline-pipeline-manual-approval-needed", "codepipeline-pipeline-manual-approval-succeeded",
		"codepipeline-pipeline-pipeline-execution-canceled", "codepipeline-pipeline-pipeline-execution-failed", "codepipeline-pipeline-pipeline-execution-resumed",
		"codepipeline-pipeline-pipeline-execution-started", "codepipeline-pipeline-pipeline-execution-succeeded", "codepipeline-pipeline-pipeline-execution-superseded",
		"codepipeline-pipeline-stage-execution-canceled", "codepipeline-pipeline-stage-execution-failed", "codepipeline-pipeline-stage-execution-resumed",
		"codepipeline-pipeline-stage-execution-started", "codepipeline-pipeline-stage-execution-succeeded",
	}
	if !slices.Equal(ids, want) {
		t.Errorf("%q", ids)
	}
	for _, f := range []api.ListNotificationRulesFilter{{Name: "RESOURCE", Value: web}, {Name: "EVENT_TYPE_ID", Value: "codepipeline-pipeline-stage-execution-started"}} {
		out, err := b.ListNotificationRules(b.ctx, &api.ListNotificationRulesInput{Filters: []api.ListNotificationRulesFilter{f, {Name: "TARGET_ADDRESS", Value: topic}, {Name: "CREATED_BY", Value: "arn:aws:iam::000000000000:user/ann"}}})
		if err != nil || len(out.NotificationRules) != 1 || out.NotificationRules[0].Arn != started {
			t.Errorf("%+v: %+v %v", f, out, err)
		}
	}
	d, err := b.DescribeNotificationRule(b.ctx, &api.DescribeNotificationRuleInput{Arn: build})
	text, _ := json.Marshal(d.EventTypes)
	if err != nil || string(text) != `[{"EventTypeId":"codebuild-project-build-state-failed","ServiceName":"CodeBuild","EventTypeName":"Build state: Failed","ResourceType":"Project"}]` ||
		d.Name != "build" || d.Status != "ENABLED" || d.DetailType != "BASIC" || d.CreatedBy != "arn:aws:iam::000000000000:user/ann" || d.CreatedTimestamp.IsZero() || d.Targets[0].TargetStatus != "ACTIVE" {
		t.Errorf("%+v %s %v", d, text, err)
	}
	// A target that refuses is unreachable until something arrives again.
	state := func(id int64, want string) {
		t.Helper()
		if err := b.Take(b.ctx, []store.Outgoing{{Seq: id, Source: "aws.codebuild", Account: account, Region: region, Resource: "arn:aws:codebuild:us-east-1:000000000000:build/p:1",
			DetailType: "CodeBuild Build State Change", Detail: `{"build-status":"FAILED","project-name":"p"}`}}); err != nil {
			t.Fatal(err)
		}
		b.next(t)
		for deadline := time.Now().Add(patience); ; {
			out, err := b.ListTargets(b.ctx, &api.ListTargetsInput{Filters: []api.ListTargetsFilter{{Name: "TARGET_STATUS", Value: want}}})
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Targets) == 1 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the target is not %s", want)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	b.mu.Lock()
	b.deny = true
	b.mu.Unlock()
	state(1, "UNREACHABLE")
	b.mu.Lock()
	b.deny = false
	b.mu.Unlock()
	state(2, "ACTIVE")
	if _, err := b.DeleteTarget(b.ctx, &api.DeleteTargetInput{TargetAddress: topic}); fault.Code(err) != "ValidationException" {
		t.Error(err)
	}
	if _, err := b.Unsubscribe(b.ctx, &api.UnsubscribeInput{Arn: started, TargetAddress: topic}); err != nil {
		t.Error(err)
	}
	if _, err := b.DeleteTarget(b.ctx, &api.DeleteTargetInput{TargetAddress: topic, ForceUnsubscribeAll: new(true)}); err != nil {
		t.Error(err)
	}
	if out, err := b.ListTargets(b.ctx, &api.ListTargetsInput{}); err != nil || len(out.Targets) != 0 {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := b.TagResource(b.ctx, &api.TagResourceInput{Arn: build, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UntagResource(b.ctx, &api.UntagResourceInput{Arn: build, TagKeys: []string{"a", "c"}}); err != nil {
		t.Fatal(err)
	}
	if out, err := b.ListTagsForResource(b.ctx, &api.ListTagsForResourceInput{Arn: build}); err != nil || len(out.Tags) != 1 || out.Tags["b"] != "2" {
		t.Errorf("%+v %v", out, err)
	}
	for range 2 {
		if _, err := b.DeleteNotificationRule(b.ctx, &api.DeleteNotificationRuleInput{Arn: build}); err != nil {
			t.Error(err)
		}
	}
}

// S-354: of many who make rules for a resource at once, as many succeed as it may have.
func TestRulesRace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.PutAccount(t.Context(), account) }); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var made atomic.Int32
		for i := range 2 * maxOfResource {
			all.Go(func() {
				_, err := b.CreateNotificationRule(b.ctx, &api.CreateNotificationRuleInput{Name: fmt.Sprint("rule", i), Resource: web, DetailType: "BASIC",
					EventTypeIds: []string{"codepipeline-pipeline-pipeline-execution-failed"}})
				switch fault.Code(err) {
				case "LimitExceededException":
				default:
					made.Add(1)
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := made.Load(); n != maxOfResource {
			t.Errorf("%d rules", n)
		}
	})
}

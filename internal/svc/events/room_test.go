package events

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	account  = "000000000000"
	region   = "us-east-1"
	pipeline = "arn:aws:codepipeline:us-east-1:000000000000:web"
	topic    = "arn:aws:sns:us-east-1:000000000000:news"
	role     = "arn:aws:iam::000000000000:role/starter"
	patience = 5 * time.Minute
)

// called is a call that a target got.
type called struct {
	Call
	target string // operation, or the Action of a form
	body   map[string]any
}

// bench is a room whose targets are one server that tells what it gets.
type bench struct {
	*Room
	ctx  context.Context
	db   *store.DB
	got  chan called
	mu   sync.Mutex
	deny map[string]int // status by target operation
	// asked are the calls for which a permission was asked.
	asked []Call
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := &bench{db: db, got: make(chan called, 1000), deny: map[string]int{}}
	b.ctx = auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::000000000000:user/ann"})
	calls := map[string]Call{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c := called{target: r.Header.Get("X-Amz-Target"), body: map[string]any{}}
		if c.target == "" {
			form, err := url.ParseQuery(string(text))
			if err != nil {
				t.Error(err)
			}
			c.target = form.Get("Action")
			for key := range form {
				c.body[key] = form.Get(key)
			}
		} else if err := json.Unmarshal(text, &c.body); err != nil {
			t.Error(err)
		}
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ = strings.Cut(key, "/")
		b.mu.Lock()
		c.Call = calls[key]
		status := b.deny[c.target]
		b.mu.Unlock()
		if status != 0 {
			w.Header().Set("X-Amzn-Errortype", map[int]string{400: "AccessDeniedException", 500: "InternalFailure"}[status])
			w.WriteHeader(status)
		}
		b.got <- c
		if strings.Contains(c.target, "Publish") {
			_, _ = io.WriteString(w, "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>")
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(srv.Close)
	allowed := func(_ context.Context, c Call) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked = append(b.asked, c)
		if b.deny[c.Action] != 0 {
			return fault.New("AccessDeniedException", "not authorized")
		}
		return nil
	}
	b.Room = New(Deps{DB: db, Allowed: allowed, Private: true, AWS: func(c Call) aws.Config {
		b.mu.Lock()
		defer b.mu.Unlock()
		key := "K" + strconv.Itoa(len(calls))
		calls[key] = c
		return aws.Config{Region: c.Region, BaseEndpoint: &srv.URL, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(key, "s", "")}
	}})
	return b
}

// run delivers until the test ends, or stop is called.
func (b *bench) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (b *bench) next(t *testing.T) called {
	t.Helper()
	select {
	case c := <-b.got:
		return c
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
		panic("not reached")
	}
}

func (b *bench) rule(t *testing.T, in *api.PutRuleInput, targets ...api.Target) {
	t.Helper()
	if _, err := b.PutRule(b.ctx, in); err != nil {
		t.Fatal(err)
	}
	if len(targets) > 0 {
		if _, err := b.PutTargets(b.ctx, &api.PutTargetsInput{Rule: in.Name, EventBusName: in.EventBusName, Targets: targets}); err != nil {
			t.Fatal(err)
		}
	}
}

const changeDetail = `{"pipeline":"web","execution-id":"E1","start-time":"2024-12-30T00:43:13.765Z","state":"%s","version":6.0,"pipeline-execution-attempt":1.0}`

func change(seq int64, execution, state string) store.Outgoing {
	return store.Outgoing{
		Seq: seq, Source: "aws.codepipeline", Account: account, Region: region, Resource: pipeline, At: time.Date(2024, 12, 30, 0, 53, 3, 5e8, time.UTC),
		DetailType: "CodePipeline Pipeline Execution State Change",
		Detail:     strings.NewReplacer("%s", state, "E1", execution).Replace(changeDetail),
	}
}

// S-340, S-341, S-350, W-38: the events of an execution come in the exact envelope, in order,
// under the rule's name and as the service that the topic's policy lets in.
func TestTake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		b.rule(t, &api.PutRuleInput{Name: "all", EventPattern: `{"source":["aws.codepipeline"],"detail":{"pipeline":["web"]}}`}, api.Target{Id: "t", Arn: topic})
		b.rule(t, &api.PutRuleInput{Name: "none", EventPattern: `{"detail":{"pipeline":["other"]}}`}, api.Target{Id: "t", Arn: topic})
		b.rule(t, &api.PutRuleInput{Name: "off", EventPattern: `{"source":["aws.codepipeline"]}`, State: disabled}, api.Target{Id: "t", Arn: topic})
		list := []store.Outgoing{change(1, "E1", "STARTED"), change(2, "E1", "STOPPING"), change(3, "E1", "STOPPED"), change(4, "E2", "STARTED")}
		for range 2 { // told again after a crash: once as long as it waits
			if err := b.Take(b.ctx, list); err != nil {
				t.Fatal(err)
			}
		}
		b.run(t)
		states := []string{}
		for range list {
			c := b.next(t)
			message, _ := c.body["Message"].(string)
			var e envelope
			if err := json.Unmarshal([]byte(message), &e); err != nil {
				t.Fatalf("%v: %s", err, message)
			}
			if strings.Contains(message, `"E1"`) {
				states = append(states, strings.SplitN(strings.SplitN(message, `"state":"`, 2)[1], `"`, 2)[0])
			}
			want := `{"version":"0","id":"` + e.ID + `","detail-type":"CodePipeline Pipeline Execution State Change","source":"aws.codepipeline",` +
				`"account":"000000000000","time":"2024-12-30T00:53:03Z","region":"us-east-1","resources":["` + pipeline + `"],"detail":`
			if !strings.HasPrefix(message, want) || !strings.Contains(message, `"version":6.0`) {
				t.Errorf("got  %s\nwant %s", message, want)
			}
			if c.RoleARN != "" || c.Source != "arn:aws:events:us-east-1:000000000000:rule/all" || c.Action != "sns:Publish" || c.Resource != topic || c.Account != account {
				t.Errorf("%+v", c.Call)
			}
		}
		if !slices.Equal(states, []string{"STARTED", "STOPPING", "STOPPED"}) {
			t.Error(states)
		}
	})
}

// A rule that an earlier penstock took, and this one does not understand, holds up no others.
func TestRulesOfAnEarlierTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	past := time.Now().Add(-time.Hour)
	if err := b.db.Update(b.ctx, func(tx *store.Tx) error {
		return errors.Join(
			tx.PutEventRule(b.ctx, store.EventRule{Account: "111111111111", Region: region, Bus: defaultBus, Name: "a", Next: past, Doc: `{"schedule":"rate(never)","state":"ENABLED"}`}),
			tx.PutEventRule(b.ctx, store.EventRule{Account: account, Region: region, Bus: defaultBus, Name: "a", Doc: `{"pattern":"{","state":"ENABLED","targets":[{"Id":"t","Arn":"` + topic + `"}]}`}),
			tx.PutEventRule(b.ctx, store.EventRule{Account: account, Region: region, Bus: defaultBus, Name: "b", Next: past.Add(time.Second),
				Doc: `{"pattern":"{\"source\":[\"aws.codepipeline\"]}","schedule":"rate(1 minute)","state":"ENABLED","targets":[{"Id":"t","Arn":"` + topic + `"}]}`}))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.due(b.ctx); err != nil {
		t.Error(err)
	}
	if err := b.Take(b.ctx, []store.Outgoing{change(1, "E1", "STARTED")}); err != nil {
		t.Error(err)
	}
	b.run(t)
	for range 2 {
		b.next(t)
	}
}

// S-94, S-247: a pipeline is started by the target's role, once per event, with what the
// transformer made of it.
func TestStartPipeline(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.rule(t, &api.PutRuleInput{Name: "go", EventPattern: `{"source":["my.app"]}`},
		api.Target{Id: "list", Arn: pipeline, RoleArn: role, InputTransformer: &api.InputTransformer{
			InputPathsMap: map[string]string{"c": "$.detail.commit", "n": "$.detail['who']"},
			InputTemplate: `{"sourceRevisions":[{"actionName":"S","revisionType":"COMMIT_ID","revisionValue":<c>}],"variables":[{"name":"who","value":"by <n>"}]}`,
		}},
		api.Target{Id: "single", Arn: pipeline, RoleArn: role, Input: `{"sourceRevisions":{"actionName":"S","revisionType":"S3_OBJECT_KEY","revisionValue":"k"}}`},
		api.Target{Id: "whole", Arn: pipeline, RoleArn: role},
		api.Target{Id: "wrong", Arn: pipeline, RoleArn: role, Input: `{"variables":"x"}`},
		api.Target{Id: "build", Arn: "arn:aws:codebuild:us-east-1:000000000000:project/app", RoleArn: role,
			Input: `{"sourceVersion":"main","environmentVariablesOverride":[{"name":"A","value":"b","type":"PLAINTEXT"}]}`})
	out, err := b.PutEvents(b.ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{
		{Source: "my.app", DetailType: "Wanted", Detail: `{"commit":"abc","who":"an\"n"}`}, {Source: "other.app", DetailType: "Wanted", Detail: `{}`},
	}})
	if err != nil || *out.FailedEntryCount != 0 {
		t.Fatalf("%+v %v", out, err)
	}
	b.run(t)
	seen := map[string]bool{}
	for range 4 {
		c := b.next(t)
		if c.RoleARN != role || c.Source != "arn:aws:events:us-east-1:000000000000:rule/go" {
			t.Errorf("%+v", c.Call)
		}
		text := string(encode(c.body))
		for name, want := range map[string]string{
			"list":   `"sourceRevisions":[{"actionName":"S","revisionType":"COMMIT_ID","revisionValue":"abc"}],"variables":[{"name":"who","value":"by an\"n"}]}`,
			"single": `"sourceRevisions":[{"actionName":"S","revisionType":"S3_OBJECT_KEY","revisionValue":"k"}]}`,
			"build":  `"projectName":"app","sourceVersion":"main"}`,
			"whole":  `"name":"web"}`,
		} {
			if strings.HasSuffix(text, want) {
				seen[name] = true
			}
		}
		if token, _ := c.body["clientRequestToken"].(string); c.target == "CodePipeline_20150709.StartPipelineExecution" && len(token) != 36 {
			t.Errorf("a start without a token: %s", text)
		}
	}
	if len(seen) != 4 {
		t.Errorf("only %v", seen)
	}
}

// A target that refuses is not asked again; one that fails is, later (S-340).
func TestJudge(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.deny["CodePipeline_20150709.StartPipelineExecution"] = 400
	b.rule(t, &api.PutRuleInput{Name: "go", EventPattern: `{"source":["my.app"]}`}, api.Target{Id: "a", Arn: pipeline, RoleArn: role})
	event := &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{{Source: "my.app", DetailType: "x", Detail: `{}`}}}
	if _, err := b.PutEvents(b.ctx, event); err != nil {
		t.Fatal(err)
	}
	b.run(t)
	first := b.next(t)
	b.mu.Lock()
	b.deny["CodePipeline_20150709.StartPipelineExecution"] = 500
	b.mu.Unlock()
	if _, err := b.PutEvents(b.ctx, event); err != nil {
		t.Fatal(err)
	}
	tokens := []any{b.next(t).body["clientRequestToken"], b.next(t).body["clientRequestToken"]}
	if tokens[0] == first.body["clientRequestToken"] || tokens[0] != tokens[1] {
		t.Errorf("%v, then %v", first.body, tokens)
	}
	p := parcel{Attempts: new(int32(2)), Age: new(int32(3600))}
	d := store.Delivery{Created: time.Now(), Doc: string(encode(p))}
	for d.Attempts = range 4 {
		if _, ok := again(d, nil); ok != (d.Attempts < 2) {
			t.Errorf("attempt %d: %v", d.Attempts, ok)
		}
	}
	d.Attempts, d.Created = 0, time.Now().Add(-2*time.Hour)
	if _, ok := again(d, nil); ok {
		t.Error("too old, and tried again")
	}
}

// N-14: a schedule fires at its times, once for what came while nobody looked, to its own
// targets, and not while it is switched off.
func TestSchedule(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Date(2026, 1, 2, 3, 4, 30, 0, time.UTC)
	db := storetest.SQLite(t, func(c *store.Config) {
		c.Clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	b := newBench(t, db)
	pass := func(d time.Duration) []string {
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
		if _, err := b.due(b.ctx); err != nil {
			t.Fatal(err)
		}
		var times []string
		if err := db.Update(b.ctx, func(tx *store.Tx) error {
			list, err := tx.ClaimDeliveries(b.ctx, queue, nil, 100, time.Minute)
			for _, d := range list {
				var p parcel
				if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
					return err
				}
				var e envelope
				if err := json.Unmarshal([]byte(p.Input), &e); err != nil {
					return err
				}
				if e.Source != "aws.events" || e.DetailType != "Scheduled Event" || string(e.Detail) != "{}" || e.Resources[0] != p.Rule {
					t.Errorf("%s", p.Input)
				}
				times = append(times, e.Time)
				if err := tx.FinishDelivery(b.ctx, d); err != nil {
					return err
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return times
	}
	b.rule(t, &api.PutRuleInput{Name: "five", ScheduleExpression: "rate(5 minutes)"}, api.Target{Id: "a", Arn: pipeline, RoleArn: role})
	b.rule(t, &api.PutRuleInput{Name: "seen", EventPattern: `{"source":["aws.events"]}`}, api.Target{Id: "a", Arn: topic})
	for i, c := range []struct {
		wait time.Duration
		want []string
	}{
		{time.Minute, nil}, {4 * time.Minute, []string{"2026-01-02T03:09:30Z"}}, {time.Second, nil},
		{time.Hour, []string{"2026-01-02T03:14:30Z"}}, {0, nil}, {5 * time.Minute, []string{"2026-01-02T04:14:30Z"}},
	} {
		if got := pass(c.wait); !slices.Equal(got, c.want) {
			t.Errorf("step %d: %v, not %v", i, got, c.want)
		}
	}
	if _, err := b.DisableRule(b.ctx, &api.DisableRuleInput{Name: "five"}); err != nil {
		t.Fatal(err)
	}
	if got := pass(time.Hour); got != nil {
		t.Errorf("off: %v", got)
	}
	if _, err := b.EnableRule(b.ctx, &api.EnableRuleInput{Name: "five"}); err != nil {
		t.Fatal(err)
	}
	if got := pass(5 * time.Minute); len(got) != 1 {
		t.Errorf("on again: %v", got)
	}
}

// N-14: rules and targets are shown, listed by pages and removed as EventBridge does it.
func TestRules(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		if _, err := b.CreateEventBus(b.ctx, &api.CreateEventBusInput{Name: "own", Description: "d"}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			b.rule(t, &api.PutRuleInput{Name: name, EventPattern: `{"source":["x"]}`, Tags: []api.Tag{{Key: "k", Value: name}}}, api.Target{Id: "1", Arn: topic}, api.Target{Id: "2", Arn: pipeline, RoleArn: role})
		}
		b.rule(t, &api.PutRuleInput{Name: "a", EventBusName: "own", EventPattern: `{"source":["x"]}`})
		first, err := b.ListRules(b.ctx, &api.ListRulesInput{Limit: new(int32(2))})
		if err != nil || len(first.Rules) != 2 || first.NextToken == "" {
			t.Fatalf("%+v %v", first, err)
		}
		rest, err := b.ListRules(b.ctx, &api.ListRulesInput{Limit: new(int32(2)), NextToken: first.NextToken})
		if err != nil || len(rest.Rules) != 1 || rest.Rules[0].Name != "c" || rest.NextToken != "" {
			t.Errorf("%+v %v", rest, err)
		}
		by, err := b.ListRuleNamesByTarget(b.ctx, &api.ListRuleNamesByTargetInput{TargetArn: topic, Limit: new(int32(2))})
		if err != nil || !slices.Equal(by.RuleNames, []string{"a", "b"}) || by.NextToken == "" {
			t.Errorf("%+v %v", by, err)
		}
		one, err := b.DescribeRule(b.ctx, &api.DescribeRuleInput{Name: "a", EventBusName: "own"})
		if err != nil || one.Arn != "arn:aws:events:us-east-1:000000000000:rule/own/a" || one.State != enabled {
			t.Errorf("%+v %v", one, err)
		}
		targets, err := b.ListTargetsByRule(b.ctx, &api.ListTargetsByRuleInput{Rule: "a", Limit: new(int32(1))})
		if err != nil || len(targets.Targets) != 1 || targets.NextToken == "" {
			t.Errorf("%+v %v", targets, err)
		}
		// Replacing a rule keeps its targets and tags.
		b.rule(t, &api.PutRuleInput{Name: "a", ScheduleExpression: "rate(1 day)", State: disabled})
		again, err := b.ListTargetsByRule(b.ctx, &api.ListTargetsByRuleInput{Rule: "a"})
		if err != nil || len(again.Targets) != 2 {
			t.Errorf("%+v %v", again, err)
		}
		arn := "arn:aws:events:us-east-1:000000000000:rule/a"
		if _, err := b.TagResource(b.ctx, &api.TagResourceInput{ResourceARN: arn, Tags: []api.Tag{{Key: "l", Value: "m"}}}); err != nil {
			t.Error(err)
		}
		if _, err := b.UntagResource(b.ctx, &api.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"k"}}); err != nil {
			t.Error(err)
		}
		tags, err := b.ListTagsForResource(b.ctx, &api.ListTagsForResourceInput{ResourceARN: arn})
		if err != nil || len(tags.Tags) != 1 || tags.Tags[0].Key != "l" {
			t.Errorf("%+v %v", tags, err)
		}
		refused := func(code string, err error) {
			t.Helper()
			if fault.Code(err) != code {
				t.Errorf("%v, not %s", err, code)
			}
		}
		_, err = b.DeleteRule(b.ctx, &api.DeleteRuleInput{Name: "a"})
		refused("ValidationException", err)
		_, err = b.DeleteEventBus(b.ctx, &api.DeleteEventBusInput{Name: "own"})
		refused("ValidationException", err)
		_, err = b.DeleteEventBus(b.ctx, &api.DeleteEventBusInput{Name: "default"})
		refused("ValidationException", err)
		gone, err := b.RemoveTargets(b.ctx, &api.RemoveTargetsInput{Rule: "a", Ids: []string{"1", "2", "3"}})
		if err != nil || *gone.FailedEntryCount != 1 || gone.FailedEntries[0].TargetId != "3" {
			t.Errorf("%+v %v", gone, err)
		}
		for range 2 { // what is not there can be deleted
			if _, err := b.DeleteRule(b.ctx, &api.DeleteRuleInput{Name: "a"}); err != nil {
				t.Error(err)
			}
		}
		_, err = b.DescribeRule(b.ctx, &api.DescribeRuleInput{Name: "a"})
		refused("ResourceNotFoundException", err)
		buses, err := b.ListEventBuses(b.ctx, &api.ListEventBusesInput{})
		if err != nil || len(buses.EventBuses) != 2 {
			t.Errorf("%+v %v", buses, err)
		}
	})
}

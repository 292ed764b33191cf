package events

import (
	"encoding/json"
	"strings"
	"testing"

	api "penstock/internal/api/events"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pattern"
	"penstock/internal/store/storetest"
)

// N-14: what cannot work is refused when it is said, and nothing is kept of it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.rule(t, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["x"]}`})
	for _, c := range []struct {
		code string
		in   api.PutRuleInput
	}{
		{"ValidationException", api.PutRuleInput{Name: "x"}},
		{"InvalidEventPatternException", api.PutRuleInput{Name: "x", EventPattern: `{"source":"x"}`}},
		{"ValidationException", api.PutRuleInput{Name: "x", ScheduleExpression: "cron(* * * * * *)"}},
		{"ValidationException", api.PutRuleInput{Name: "x", ScheduleExpression: "rate(1 minutes)"}},
		{"ResourceNotFoundException", api.PutRuleInput{Name: "x", EventPattern: `{"source":["x"]}`, EventBusName: "none"}},
		{"ResourceNotFoundException", api.PutRuleInput{Name: "x", EventPattern: `{"source":["x"]}`, EventBusName: "arn:aws:events:us-east-1:111111111111:event-bus/default"}},
		{"ValidationException", api.PutRuleInput{Name: "x", EventPattern: `{"source":["x"]}`, Tags: []api.Tag{{Key: "aws:x"}}}},
		{"ValidationException", api.PutRuleInput{Name: "x", EventPattern: `{"source":["x"]}`, RoleArn: "me"}},
	} {
		if _, err := b.PutRule(b.ctx, &c.in); fault.Code(err) != c.code {
			t.Errorf("%+v: %v", c.in, err)
		}
	}
	for _, in := range []api.CreateEventBusInput{{Name: "aws.b"}, {Name: "b", KmsKeyIdentifier: "k"}, {Name: "b", LogConfig: &api.LogConfig{Level: "TRACE"}}} {
		if _, err := b.CreateEventBus(b.ctx, &in); fault.Code(err) != "ValidationException" {
			t.Errorf("%+v: %v", in, err)
		}
	}
	transform := func(template string, paths map[string]string) api.Target {
		return api.Target{Id: "t", Arn: topic, InputTransformer: &api.InputTransformer{InputTemplate: template, InputPathsMap: paths}}
	}
	for _, target := range []api.Target{
		{Id: "t", Arn: "topic"}, {Id: "t", Arn: "arn:aws:sqs:us-east-1:000000000000:q"}, {Id: "t", Arn: "arn:aws:lambda:us-east-1:000000000000:function:f:g:h"},
		{Id: "t", Arn: "arn:aws:events:us-east-1:000000000000:api-destination/a/b"}, {Id: "t", Arn: "arn:aws:sns:us-east-1:111111111111:other"},
		{Id: "t", Arn: pipeline}, {Id: "t", Arn: pipeline + "/stage", RoleArn: role}, {Id: "t", Arn: pipeline, RoleArn: "role"},
		{Id: "t", Arn: topic, Input: `{`}, {Id: "t", Arn: topic, Input: `{}`, InputPath: "$"}, {Id: "t", Arn: topic, InputPath: "detail"}, {Id: "t", Arn: topic, InputPath: "$]"},
		{Id: "t", Arn: topic, SqsParameters: &api.SqsParameters{}}, {Id: "t", Arn: topic, DeadLetterConfig: &api.DeadLetterConfig{Arn: "arn:aws:sqs:us-east-1:000000000000:q"}},
		transform("hello", nil), transform(`{"a":<b>}`, nil), transform(`{"a":<b>}`, map[string]string{"b": "b"}), transform(`"x"`, map[string]string{"aws.x": "$"}),
		transform(`{<b>:1}`, map[string]string{"b": "$"}), transform(`{"a":[{<aws.events.event>:1}]}`, nil),
		transform(`<b><b>`, map[string]string{"b": "$"}), transform(`1.5<b>`, map[string]string{"b": "$"}), transform(`"\u00<b>"`, map[string]string{"b": "$"}),
		transform(`"x`, nil), transform("", nil), transform(`"`+strings.Repeat("x", maxTemplate)+`"`, nil),
	} {
		if _, err := b.PutTargets(b.ctx, &api.PutTargetsInput{Rule: "r", Targets: []api.Target{target}}); fault.Code(err) != "ValidationException" {
			t.Errorf("%+v: %v", target, err)
		}
	}
	six := make([]api.Target, 6)
	for i := range six {
		six[i] = api.Target{Id: string(rune('a' + i)), Arn: topic}
	}
	if _, err := b.PutTargets(b.ctx, &api.PutTargetsInput{Rule: "r", Targets: six}); fault.Code(err) != "LimitExceededException" {
		t.Error(err)
	}
	if out, err := b.ListTargetsByRule(b.ctx, &api.ListTargetsByRuleInput{Rule: "r"}); err != nil || len(out.Targets) != 0 {
		t.Errorf("%+v %v", out, err)
	}
	// Who may not, may not, and a role is only passed by those who may pass it.
	limited, err := auth.Limited(t.Context(), auth.From(b.ctx), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"events:PutTargets","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		func() error {
			_, err := b.PutRule(limited, &api.PutRuleInput{Name: "x", EventPattern: `{"source":["x"]}`})
			return err
		}(),
		func() error {
			_, err := b.PutTargets(limited, &api.PutTargetsInput{Rule: "r", Targets: []api.Target{{Id: "t", Arn: pipeline, RoleArn: role}}})
			return err
		}(),
	} {
		if fault.Code(err) != "AccessDeniedException" {
			t.Error(err)
		}
	}
}

// N-14: entries are taken or refused one by one.
func TestPutEventsRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	entries := []api.PutEventsRequestEntry{
		{Source: "my.app", DetailType: "x", Detail: `{}`}, {DetailType: "x", Detail: `{}`}, {Source: "my.app", Detail: `{}`}, {Source: "my.app", DetailType: "x"},
		{Source: "aws.codepipeline", DetailType: "x", Detail: `{}`}, {Source: "my.app", DetailType: "x", Detail: `[]`}, {Source: "my.app", DetailType: "x", Detail: `{`},
		{Source: "my.app", DetailType: "x", Detail: `{}`, EventBusName: "none"},
		// As deep as it may be, and too deep for the event that it stands in, which is one more.
		{Source: "my.app", DetailType: "x", Detail: `{"x":` + strings.Repeat("[", 9998) + strings.Repeat("]", 9998) + `}`},
		{Source: "my.app", DetailType: "x", Detail: `{"x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`},
		{Source: "my.app", DetailType: "x", Detail: `{},{}`}, {Source: "my.app", DetailType: "x", Detail: ` `},
	}
	b.rule(t, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["my.app"]}`}, api.Target{Id: "t", Arn: topic})
	out, err := b.PutEvents(b.ctx, &api.PutEventsInput{Entries: entries})
	if err != nil || *out.FailedEntryCount != 10 {
		t.Fatalf("%+v %v", out, err)
	}
	for i, want := range []string{"", "InvalidArgument", "InvalidArgument", "InvalidArgument", "NotAuthorizedForSource", "MalformedDetail", "MalformedDetail", "InvalidArgument",
		"", "MalformedDetail", "MalformedDetail", "MalformedDetail"} {
		if e := out.Entries[i]; e.ErrorCode != want || (e.EventId == "") != (want != "") {
			t.Errorf("%d: %+v", i, e)
		}
	}
	big := api.PutEventsRequestEntry{Source: "my.app", DetailType: "x", Detail: `{"x":"` + strings.Repeat("x", maxEntries) + `"}`}
	if _, err := b.PutEvents(b.ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{big}}); fault.Code(err) != "ValidationException" {
		t.Error(err)
	}
}

// N-14: what a target gets.
func TestInput(t *testing.T) {
	t.Parallel()
	text := `{"id":"i","detail-type":"T","resources":["r1","r2"],"detail":{"n":6.0,"s":"a \"b\" <c>","o":{"x":[1,2]},"list":[{"k":1},{"k":2}],"nil":null}}`
	decoded, err := pattern.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &occurrence{text: []byte(text), decoded: decoded, time: "2026-01-02T03:04:05Z"}
	paths := map[string]string{"n": "$.detail.n", "s": "$.detail.s", "o": "$.detail.o", "none": "$.detail.none", "r": "$.resources[1]", "k": "$.detail.list[*].k", "t": "$['detail-type']"}
	for _, c := range []struct {
		target api.Target
		want   string
	}{
		{api.Target{}, text},
		{api.Target{Input: `{"a":1}`}, `{"a":1}`},
		{api.Target{InputPath: "$.detail.o"}, `{"x":[1,2]}`},
		{api.Target{InputPath: "$.detail.n"}, `6.0`},
		{api.Target{InputPath: "$.nothing[0].x"}, `null`},
		{api.Target{InputPath: "$"}, `{"detail":{"list":[{"k":1},{"k":2}],"n":6.0,"nil":null,"o":{"x":[1,2]},"s":"a \"b\" <c>"},"detail-type":"T","id":"i","resources":["r1","r2"]}`},
		{transformed(`{"n":<n>,"s":<s>,"o":<o>,"none":<none>,"k":<k>}`, paths), `{"n":6.0,"s":"a \"b\" <c>","o":{"x":[1,2]},"none":null,"k":[1,2]}`},
		{transformed(`"<t>: <n> <s> of <r><none>, <o> \"<n>\""`, paths), `"T: 6.0 a \"b\" <c> of r2, {\"x\":[1,2]} \"6.0\""`},
		{transformed("\"<t>\"\n\"<r>\"", paths), "\"T\"\n\"r2\""},
		{transformed(`{"rule":"<aws.events.rule-name>","arn":<aws.events.rule-arn>,"at":<aws.events.event.ingestion-time>}`, nil), `{"rule":"name","arn":"arn","at":"2026-01-02T03:04:05Z"}`},
		{transformed(`<aws.events.event>`, nil), `{"detail-type":"T","id":"i","resources":["r1","r2"]}`},
	} {
		if err := checkInput(&c.target); err != nil {
			t.Errorf("%+v: %v", c.target, err)
			continue
		}
		got, err := input(&c.target, o, "arn", "name")
		if err != nil || got != c.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, c.want)
		}
	}
	// A small template does not make a large input of a large event.
	big, err := json.Marshal(map[string]string{"x": strings.Repeat("x", 100_000)})
	if err != nil {
		t.Fatal(err)
	}
	if o.decoded, err = pattern.Decode(big); err != nil {
		t.Fatal(err)
	}
	bomb := transformed(`"`+strings.Repeat("<x>", 2000)+`"`, map[string]string{"x": "$.x"})
	if _, err := input(&bomb, o, "arn", "name"); err == nil {
		t.Error("an input without bounds")
	}
}

func transformed(template string, paths map[string]string) api.Target {
	return api.Target{Id: "t", InputTransformer: &api.InputTransformer{InputTemplate: template, InputPathsMap: paths}}
}

// N-14: with a template that was taken, whatever stands at the path, the target gets JSON.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"a":<b>}`, "$.a[0]['b']")
	f.Add(`"<b> \"<b>"`, "$.*")
	f.Add(`{<b>:<b>}`, "$.n[1]")
	f.Add("<b><b>\n1.5<b>", "$.n[0]")
	f.Add(`["\u00<b>41",<b>,{"<b>":<aws.events.event>}]<aws.events.event.json>`, "$.n[*]")
	f.Fuzz(func(t *testing.T, template, at string) {
		target := transformed(template, map[string]string{"b": at})
		if checkInput(&target) != nil {
			return
		}
		o := &occurrence{decoded: map[string]any{
			"a": []any{map[string]any{"b": "\"x\\"}}, "n": []any{json.Number("1.5"), json.Number("-2E+3"), json.Number("0"), true, nil, "", "\x00\u2028<b>"}}}
		got, err := input(&target, o, "arn", "name")
		if err == nil && valuesOf(got) != nil {
			t.Errorf("%q at %q gives %q", template, at, got)
		}
	})
}

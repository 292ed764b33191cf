package logs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "penstock/internal/api/logs"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/logs"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func as(ctx context.Context) context.Context {
	return auth.Trusted(ctx, auth.Caller{Account: "000000000000", Region: "us-east-1"})
}

// room makes a room with the group "g" and the streams named.
func room(t *testing.T, db *store.DB, streams ...string) (*logs.Room, context.Context) {
	t.Helper()
	r, ctx := logs.New(logs.Deps{DB: db}), as(t.Context())
	if _, err := r.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: "g"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		if _, err := r.CreateLogStream(ctx, &api.CreateLogStreamInput{LogGroupName: "g", LogStreamName: s}); err != nil {
			t.Fatal(err)
		}
	}
	return r, ctx
}

func put(t *testing.T, r *logs.Room, ctx context.Context, stream string, at int64, messages ...string) *api.PutLogEventsOutput {
	t.Helper()
	in := &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, api.InputLogEvent{Timestamp: new(at + int64(i)), Message: m})
	}
	out, err := r.PutLogEvents(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(events []api.OutputLogEvent) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Message)
	}
	return strings.Join(all, " ")
}

// N-11: GetLogEvents goes both ways, and its tokens repeat at the ends.
func TestGetLogEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, ctx := room(t, db, "s")
		now := time.Now().UnixMilli()
		get := func(token string, head bool, limit int32) *api.GetLogEventsOutput {
			t.Helper()
			out, err := r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: "g", LogStreamName: "s", NextToken: token, StartFromHead: &head, Limit: &limit})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if out := get("", false, 10); len(out.Events) != 0 || get(out.NextForwardToken, true, 10).NextForwardToken != out.NextForwardToken {
			t.Errorf("empty stream: %+v", out)
		}
		empty := get("", true, 10).NextForwardToken
		put(t, r, ctx, "s", now, "a", "b", "c")
		put(t, r, ctx, "s", now+10, "d", "e")
		first := get("", true, 2)
		second := get(first.NextForwardToken, true, 2)
		third := get(second.NextForwardToken, true, 2)
		end := get(third.NextForwardToken, true, 2)
		if got := text(first.Events) + "|" + text(second.Events) + "|" + text(third.Events) + "|" + text(end.Events); got != "a b|c d|e|" {
			t.Error(got)
		}
		if end.NextForwardToken != third.NextForwardToken {
			t.Error("the forward token does not repeat")
		}
		if back := get(third.NextBackwardToken, true, 3); text(back.Events) != "b c d" {
			t.Error("backward:", text(back.Events))
		}
		tail := get("", false, 2)
		if text(tail.Events) != "d e" || tail.NextForwardToken != end.NextForwardToken {
			t.Error("tail:", text(tail.Events))
		}
		head := get(get("", true, 1).NextBackwardToken, true, 5)
		if len(head.Events) != 0 || get(head.NextBackwardToken, true, 5).NextBackwardToken != head.NextBackwardToken {
			t.Error("the backward token does not repeat")
		}
		if text(get(empty, true, 9).Events) != "a b c d e" {
			t.Error("a token of the empty stream goes on with what came")
		}
		put(t, r, ctx, "s", now+20, "f")
		if text(get(end.NextForwardToken, true, 9).Events) != "f" {
			t.Error("follow")
		}
		out, err := r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupIdentifier: "arn:aws:logs:us-east-1:000000000000:log-group:g:*", LogStreamName: "s", StartTime: new(now + 1), EndTime: new(now + 11)})
		if err != nil || text(out.Events) != "b c d" {
			t.Error("range:", out, err)
		}
		if _, err := r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: "g", LogStreamName: "s", NextToken: "f/../s"}); fault.Code(err) != "InvalidParameterException" {
			t.Error(err)
		}
	})
}

// N-11: what is looked for late in a group is found wherever its batch begins.
func TestFilterLogEventsBeginsWithABatchOfTheDayBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, ctx := room(t, db, "long", "short", "empty")
		now := time.Now().UnixMilli()
		day := (24 * time.Hour).Milliseconds()
		if _, err := r.PutLogEvents(ctx, &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: "long", LogEvents: []api.InputLogEvent{
			{Timestamp: new(now - day), Message: "yesterday"}, {Timestamp: new(now), Message: "today"},
		}}); err != nil {
			t.Fatal(err)
		}
		put(t, r, ctx, "short", now-2*day, "before")
		put(t, r, ctx, "short", now+1, "after")
		for _, search := range []struct {
			start   int64
			streams []string
			want    string
		}{
			{now, nil, "today after"},
			{now, []string{"long"}, "today"},
			{now, []string{"short", "long"}, "today after"},
			{now, []string{"empty"}, ""},
			{0, []string{"long"}, "yesterday today"},
			{0, []string{"empty", "short"}, "before after"},
			{0, nil, "before yesterday today after"},
		} {
			out, err := r.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: "g", LogStreamNames: search.streams, StartTime: &search.start})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range out.Events {
				got = append(got, e.Message)
			}
			if all := strings.Join(got, " "); all != search.want {
				t.Errorf("from %d in %v: %q, want %q", search.start-now, search.streams, all, search.want)
			}
		}
	})
}

// N-11: FilterLogEvents, as `aws logs tail` pages through it.
func TestFilterLogEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, ctx := room(t, db, "one", "two", "other")
		now := time.Now().UnixMilli()
		var want []string
		for i := range 40 {
			s := []string{"one", "two"}[i%2]
			put(t, r, ctx, s, now+int64(i)*10, fmt.Sprintf("ERROR %d", i), fmt.Sprintf("ok %d", i))
			want = append(want, fmt.Sprintf("ERROR %d", i))
		}
		put(t, r, ctx, "other", now, "ERROR of another stream")
		var got []string
		ids := map[string]bool{}
		in := &api.FilterLogEventsInput{LogGroupName: "g", LogStreamNames: []string{"one", "two"}, FilterPattern: "ERROR", Limit: new(int32(7)), StartTime: &now}
		for {
			out, err := r.FilterLogEvents(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range out.Events {
				got = append(got, e.Message)
				ids[e.EventId] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(ids) != len(want) {
			t.Error(diff, len(ids))
		}
		for pattern, n := range map[string]int{"": 81, `"ok 3"`: 11, "ERROR -another": 40, "?another ?39": 3, "ERROR another": 1, "nothing": 0} {
			out, err := r.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: "g", FilterPattern: pattern})
			if err != nil || len(out.Events) != n {
				t.Errorf("%q: %d events, %v", pattern, len(out.Events), err)
			}
		}
		if out, err := r.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: "g", LogStreamNamePrefix: "o", FilterPattern: "another"}); err != nil || len(out.Events) != 1 {
			t.Error("prefix:", out, err)
		}
		for _, bad := range []*api.FilterLogEventsInput{
			{LogGroupName: "g", FilterPattern: `{ $.x = 1 }`}, {LogGroupName: "g", FilterPattern: `"open`}, {LogGroupName: "g", NextToken: "?"}, {},
		} {
			if _, err := r.FilterLogEvents(ctx, bad); fault.Code(err) != "InvalidParameterException" {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// N-11: groups and streams, their lists, tags and ends.
func TestGroupsAndStreams(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, ctx := room(t, db, "b", "a")
		if _, err := r.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: "g"}); fault.Code(err) != "ResourceAlreadyExistsException" {
			t.Error(err)
		}
		if _, err := r.CreateLogStream(ctx, &api.CreateLogStreamInput{LogGroupName: "g", LogStreamName: "a"}); fault.Code(err) != "ResourceAlreadyExistsException" {
			t.Error(err)
		}
		for i := range 5 {
			if _, err := r.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: fmt.Sprint("/aws/codebuild/p", i), Tags: map[string]string{"k": "v"}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, in := range []api.DescribeLogGroupsInput{{LogGroupIdentifiers: []string{"g"}}, {AccountIdentifiers: []string{"111111111111"}}, {IncludeLinkedAccounts: new(true)}} {
			if _, err := r.DescribeLogGroups(ctx, &in); fault.Code(err) != "InvalidParameterException" {
				t.Errorf("%+v: %v", in, err)
			}
		}
		if out, err := r.DescribeLogGroups(ctx, &api.DescribeLogGroupsInput{LogGroupClass: "INFREQUENT_ACCESS"}); err != nil || len(out.LogGroups) != 0 {
			t.Error(out, err)
		}
		in := &api.DescribeLogGroupsInput{LogGroupNamePrefix: "/aws/", LogGroupClass: "STANDARD", Limit: new(int32(2))}
		var names []string
		for {
			out, err := r.DescribeLogGroups(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range out.LogGroups {
				names = append(names, g.LogGroupName)
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				break
			}
		}
		if len(names) != 5 || !slices.IsSorted(names) {
			t.Error(names)
		}
		now := time.Now().UnixMilli()
		put(t, r, ctx, "a", now, "x")
		put(t, r, ctx, "b", now+5, "x")
		for desc, want := range map[bool]string{true: "b", false: "a"} {
			out, err := r.DescribeLogStreams(ctx, &api.DescribeLogStreamsInput{LogGroupName: "g", OrderBy: "LastEventTime", Descending: &desc, Limit: new(int32(1))})
			if err != nil || len(out.LogStreams) != 1 || out.LogStreams[0].LogStreamName != want || out.NextToken == "" {
				t.Error(desc, out, err)
				continue
			}
			out, err = r.DescribeLogStreams(ctx, &api.DescribeLogStreamsInput{LogGroupName: "g", OrderBy: "LastEventTime", Descending: &desc, NextToken: out.NextToken})
			if err != nil || len(out.LogStreams) != 1 || out.LogStreams[0].LogStreamName == want {
				t.Error(desc, out, err)
			}
		}
		arn := "arn:aws:logs:us-east-1:000000000000:log-group:/aws/codebuild/p0"
		r.TagResource(ctx, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"n": "w"}})
		r.UntagResource(ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"k"}})
		if out, err := r.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: arn}); err != nil || !cmp.Equal(out.Tags, map[string]string{"n": "w"}) {
			t.Error(out, err)
		}
		if _, err := r.PutRetentionPolicy(ctx, &api.PutRetentionPolicyInput{LogGroupName: "g", RetentionInDays: new(int32(2))}); fault.Code(err) != "InvalidParameterException" {
			t.Error(err)
		}
		if _, err := r.PutRetentionPolicy(ctx, &api.PutRetentionPolicyInput{LogGroupName: "g", RetentionInDays: new(int32(1))}); err != nil {
			t.Error(err)
		}
		if _, err := r.DeleteLogStream(ctx, &api.DeleteLogStreamInput{LogGroupName: "g", LogStreamName: "a"}); err != nil {
			t.Error(err)
		}
		if _, err := r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: "g", LogStreamName: "a"}); fault.Code(err) != "ResourceNotFoundException" {
			t.Error(err)
		}
		if _, err := r.DeleteLogGroup(ctx, &api.DeleteLogGroupInput{LogGroupName: "g"}); err != nil {
			t.Error(err)
		}
		if _, err := r.DescribeLogStreams(ctx, &api.DescribeLogStreamsInput{LogGroupName: "g"}); fault.Code(err) != "ResourceNotFoundException" {
			t.Error(err)
		}
	})
}

// N-11, hostile: what PutLogEvents refuses and rejects.
func TestPutLogEventsLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, ctx := room(t, db, "s")
		now := time.Now().UnixMilli()
		ev := func(at int64, m string) api.InputLogEvent { return api.InputLogEvent{Timestamp: &at, Message: m} }
		for name, events := range map[string][]api.InputLogEvent{
			"none": nil, "order": {ev(now, "a"), ev(now-1, "b")}, "large": {ev(now, strings.Repeat("x", 1<<20))},
			"span": {ev(now-25*3600_000, "a"), ev(now, "b")}, "time": {{Message: "x"}}, "many": make([]api.InputLogEvent, 10_001),
		} {
			if _, err := r.PutLogEvents(ctx, &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: "s", LogEvents: events}); fault.Code(err) != "InvalidParameterException" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if out := put(t, r, ctx, "s", now-15*24*3600_000, "old"); out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooOldLogEventEndIndex != 1 {
			t.Error("too old:", out)
		}
		if out := put(t, r, ctx, "s", now+3*3600_000, "new"); out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooNewLogEventStartIndex != 0 {
			t.Error("too new:", out)
		}
		put(t, r, ctx, "s", now, "nul \x00 bad \xff <tag>")
		out, err := r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"})
		if err != nil || text(out.Events) != "nul \x00 bad \ufffd <tag>" {
			t.Errorf("%q %v", text(out.Events), err)
		}
	})
}

// W-32: nobody reads or writes a log without being allowed to.
func TestDenied(t *testing.T) {
	t.Parallel()
	r := logs.New(logs.Deps{DB: storetest.SQLite(t)})
	ctx, err := auth.Limited(t.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/u"},
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"arn:aws:logs:us-east-1:000000000000:log-group:mine:*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: "mine"}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"create": second(r.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: "g"})),
		"put":    second(r.PutLogEvents(ctx, &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: "s"})),
		"get":    second(r.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: "g", LogStreamName: "s"})),
		"filter": second(r.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: "minexx"})),
		"list":   second(r.DescribeLogGroups(ctx, &api.DescribeLogGroupsInput{})),
		"delete": second(r.DeleteLogGroup(ctx, &api.DeleteLogGroupInput{LogGroupName: "g"})),
	} {
		if fault.Code(err) != "AccessDeniedException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// S-86: while the disk is full a log does not take the room that is left, with which executions are
// stopped and approvals answered.
func TestFull(t *testing.T) {
	t.Parallel()
	r, ctx := room(t, storetest.Full(t, storetest.SQLiteURL(t)), "s")
	_, err := r.PutLogEvents(ctx, &api.PutLogEventsInput{LogGroupName: "g", LogStreamName: "s",
		LogEvents: []api.InputLogEvent{{Timestamp: new(time.Now().UnixMilli()), Message: "m"}}})
	if !errors.Is(err, fault.ErrFull) {
		t.Error(err)
	}
}

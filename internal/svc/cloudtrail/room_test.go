package cloudtrail

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	api "penstock/internal/api/cloudtrail"
	"penstock/internal/audit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const account, region = "111111111111", "eu-west-1"

type world struct {
	*testing.T
	*Room
	ctx  context.Context
	head audit.Head
}

func newWorld(t *testing.T, db *store.DB) *world {
	w := &world{T: t}
	w.Room = New(Deps{DB: db, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Account: account, Region: region, Sealed: func(_ string, h audit.Head) { w.head = h }})
	w.ctx = auth.Trusted(t.Context(), auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::111111111111:user/ann", UserName: "ann", AccessKeyID: "AKIAANN"})
	return w
}

// change makes a call that changes a row of the database, if it is not refused.
func (w *world) change(name, pipeline string, refusal error) error {
	return w.Record(w.ctx, "codepipeline", name, map[string]any{"pipelineName": pipeline}, func(ctx context.Context) (map[string]any, error) {
		err := w.deps.DB.Update(ctx, func(tx *store.Tx) error {
			if err := tx.PutAccount(ctx, "222222222222"); err != nil {
				return err
			}
			return refusal
		})
		return map[string]any{"pipelineExecutionId": "e-" + pipeline}, err
	})
}

func (w *world) flush() {
	w.Helper()
	if err := w.Flush(w.ctx); err != nil {
		w.Fatal(err)
	}
}

func (w *world) lookup(key, value string) []api.Event {
	w.Helper()
	in := &api.LookupEventsInput{}
	if key != "" {
		in.LookupAttributes = []api.LookupAttribute{{AttributeKey: key, AttributeValue: value}}
	}
	out, err := w.LookupEvents(w.ctx, in)
	if err != nil {
		w.Fatal(err)
	}
	return out.Events
}

// verify follows the chain of the account as the database has it.
func (w *world) verify(expect ...audit.Head) (audit.Head, error) {
	v := audit.Verifier{Trusted: []string{audit.PublicKey(w.deps.Key)}, Expect: expect}
	err := v.Follow(func(after int64) ([]audit.Run, error) { return Runs(w.ctx, w.deps.DB, account, after) })
	return v.Head, err
}

// W-41: a record is there with the change it is about and with what was answered, and tells who did
// what from where.
func TestRecord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		if err := w.change("StartPipelineExecution", "p", nil); err != nil {
			t.Fatal(err)
		}
		// Before anything is flushed: the change and its record are one transaction.
		if got := w.lookup("EventName", "StartPipelineExecution"); len(got) != 1 || strings.Contains(got[0].CloudTrailEvent, "e-p") {
			t.Fatalf("%+v", got)
		}
		refusal := fault.New("AccessDeniedException", "not you")
		if err := w.change("DeletePipeline", "p", refusal); !errors.Is(err, refusal) {
			t.Fatal(err)
		}
		w.flush()
		got := w.lookup("ResourceName", "p")
		if len(got) != 2 || got[0].EventName != "DeletePipeline" || got[1].Username != "ann" || got[1].EventSource != "codepipeline.amazonaws.com" {
			t.Fatalf("%+v", got)
		}
		var refused, started event
		if err := errors.Join(json.Unmarshal([]byte(got[0].CloudTrailEvent), &refused), json.Unmarshal([]byte(got[1].CloudTrailEvent), &started)); err != nil {
			t.Fatal(err)
		}
		if refused.ErrorCode != "AccessDeniedException" || refused.ErrorMessage != "not you" || refused.ResponseElements != nil {
			t.Errorf("%+v", refused)
		}
		if started.ResponseElements["pipelineExecutionId"] != "e-p" || started.RequestParameters["pipelineName"] != "p" || started.UserIdentity.Type != "IAMUser" ||
			started.UserIdentity.ARN != "arn:aws:iam::111111111111:user/ann" || started.ReadOnly || started.ErrorCode != "" || started.EventID != got[1].EventId {
			t.Errorf("%+v", started)
		}
		if head, err := w.verify(w.head); err != nil || head.Seq != 2 || head.Hash != w.head.Hash {
			t.Error(head, err)
		}
	})
}

// W-41: what changes nothing in the database is recorded before it is answered, what a call in
// files does before it does it.
func TestRecordOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	if err := w.Record(w.ctx, "sts", "AssumeRole", nil, func(context.Context) (map[string]any, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if got := w.lookup("ReadOnly", "true"); len(got) != 1 || got[0].EventName != "AssumeRole" {
		t.Fatalf("%+v", got)
	}
	_ = w.Record(w.ctx, "codecommit", "GitPush", map[string]any{"repositoryName": "r"}, func(ctx context.Context) (map[string]any, error) {
		if err := w.deps.DB.Intend(ctx); err != nil {
			t.Error(err)
		}
		if got := w.lookup("ResourceName", "r"); len(got) != 1 {
			t.Errorf("before the change: %+v", got)
		}
		return nil, errors.New("the disk of the repository broke")
	})
	w.flush()
	if got := w.lookup("ResourceName", "r"); len(got) != 1 || !strings.Contains(got[0].CloudTrailEvent, `"errorCode":"InternalFailure"`) || strings.Contains(got[0].CloudTrailEvent, "disk") {
		t.Errorf("%+v", got)
	}
}

// W-41: a call that lasts longer than its record may stay open has a second record of what came of it.
func TestRecordLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	now := time.Now()
	w.deps.Now = func() time.Time { return now }
	_ = w.Record(w.ctx, "codecommit", "GitPush", nil, func(ctx context.Context) (map[string]any, error) {
		if err := w.deps.DB.Intend(ctx); err != nil {
			t.Error(err)
		}
		w.flush() // too early
		if head, err := w.verify(); err != nil || head.Seq != 0 {
			t.Error(head, err)
		}
		now = now.Add(abandoned + time.Second)
		w.flush()
		return map[string]any{"references": "moved"}, nil
	})
	w.flush()
	list := w.lookup("EventName", "GitPush")
	if head, err := w.verify(); err != nil || head.Seq != 2 || len(list) != 2 {
		t.Fatal(head, err, list)
	}
	first, last := list[0], list[1]
	if strings.Contains(first.CloudTrailEvent, "sharedEventID") {
		first, last = last, first
	}
	if !strings.Contains(last.CloudTrailEvent, `"sharedEventID":"`+first.EventId+`"`) && !strings.Contains(first.CloudTrailEvent, `"sharedEventID":"`+last.EventId+`"`) {
		t.Errorf("%s\n%s", first.CloudTrailEvent, last.CloudTrailEvent)
	}
}

// W-41: who cannot prove who he is, and who is refused again and again, does not fill the disk, and
// how many were left out is recorded.
func TestRefusedIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	now := time.Now().Truncate(time.Minute)
	w.deps.Now = func() time.Time { return now }
	for i := range 500 {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i%100)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAGUESS/20260101/x/y/aws4_request")
		w.Refused(r, "iam", "CreateUser", fault.New("InvalidClientTokenId", "no"))
		if err := w.change("DeletePipeline", "p", fault.New("AccessDeniedException", "no")); err == nil {
			t.Fatal("not refused")
		}
	}
	w.flush()
	var events int
	err := w.deps.DB.View(w.ctx, func(tx *store.Tx) error {
		for _, name := range []string{"CreateUser", "DeletePipeline"} {
			list, err := tx.LookupAudit(w.ctx, store.AuditQuery{Account: account, Region: region, To: now, Name: name, Limit: 1000})
			if err != nil {
				return err
			}
			events += len(list)
			if name == "CreateUser" && (list[0].AccessKey != "AKIAGUESS" || !strings.Contains(list[0].Doc, `"errorCode":"InvalidClientTokenId"`)) {
				t.Errorf("%+v", list[0])
			}
		}
		return nil
	})
	if want := callerRefusals + strangeRefusals; err != nil || events != want {
		t.Errorf("%d records, want %d (%v)", events, want, err)
	}
	if n := w.limit.left(now.Add(time.Minute)); n != 1000-callerRefusals-strangeRefusals {
		t.Errorf("%d left out", n)
	}
}

// W-41: LookupEvents pages, newest first, and refuses what it cannot answer.
func TestLookupPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		now := time.Now().Add(-time.Hour)
		w.deps.Now = func() time.Time { return now }
		for i := range 7 {
			if i%2 == 0 {
				now = now.Add(time.Second) // two at a time share their microsecond
			}
			if err := w.change("StartPipelineExecution", fmt.Sprint("p", i), nil); err != nil {
				t.Fatal(err)
			}
		}
		w.deps.Now = time.Now
		seen, token, last := map[string]bool{}, "", time.Now()
		for range 4 {
			out, err := w.LookupEvents(w.ctx, &api.LookupEventsInput{MaxResults: new(int32(2)), NextToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range out.Events {
				if seen[e.EventId] || e.EventTime.After(last) {
					t.Errorf("%+v again or out of order", e)
				}
				seen[e.EventId], last = true, *e.EventTime
			}
			token = out.NextToken
		}
		if len(seen) != 7 || token != "" {
			t.Errorf("%d events, next %q", len(seen), token)
		}
		refused := func(code string, in *api.LookupEventsInput) {
			t.Helper()
			if _, err := w.LookupEvents(w.ctx, in); fault.Code(err) != code {
				t.Errorf("%v, want %s", err, code)
			}
		}
		early, late := now.Add(-time.Hour), now
		refused("InvalidTimeRangeException", &api.LookupEventsInput{StartTime: &late, EndTime: &early})
		refused("InvalidNextTokenException", &api.LookupEventsInput{NextToken: "x"})
		refused("InvalidEventCategoryException", &api.LookupEventsInput{EventCategory: "insight"})
		refused("InvalidLookupAttributesException", &api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{{AttributeKey: "ResourceType", AttributeValue: "x"}}})
		other := auth.Trusted(t.Context(), auth.Caller{Account: "333333333333", Region: region})
		if out, err := w.LookupEvents(other, &api.LookupEventsInput{}); err != nil || len(out.Events) != 0 {
			t.Errorf("another account: %+v %v", out, err)
		}
	})
}

// W-41: whatever somebody does to the rows, the chain shows it and names the record.
func TestTamper(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		cfg := store.Config{URL: url, Durability: store.Off, Keys: storetest.Keys()}
		db, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, db)
		for i := range 9 {
			if err := w.change("StartPipelineExecution", fmt.Sprint("p", i), nil); err != nil {
				t.Fatal(err)
			}
			if i%3 == 2 {
				w.flush() // a seal over every three
			}
		}
		head := w.head
		if got, err := w.verify(head); err != nil || got.Seq != 9 {
			t.Fatal(got, err)
		}
		forged := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
		for _, c := range []struct{ what, statement, want string }{
			{"a record is changed", `UPDATE audit_record SET doc = replace(doc, 'ann', 'bob') WHERE seq = 5`, "record 5 was changed"},
			{"a record is removed", `DELETE FROM audit_record WHERE seq = 5`, "record 5 is missing"},
			{"the newest record is removed", `DELETE FROM audit_record WHERE seq = 9`, "record 9 is missing"},
			{"two records change places", `UPDATE audit_record SET doc = (SELECT doc FROM audit_record AS o WHERE o.seq = 4) WHERE seq = 5`, "record 5 was changed"},
			{"a seal is removed", `DELETE FROM audit_seal WHERE last = 6`, "record 4 is missing"},
			{"the end is cut off", `DELETE FROM audit_record WHERE seq > 6; DELETE FROM audit_seal WHERE last > 6; UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit_record WHERE seq = 6)`, "record 7 is missing: the chain ends with record 6"},
			{"everything is removed", `DELETE FROM audit_record; DELETE FROM audit_seal; DELETE FROM audit_head`, "record 1 is missing: the chain ends with record 0"},
			{"the beginning is removed", `DELETE FROM audit_record WHERE seq < 4; DELETE FROM audit_seal WHERE last < 4`, "record 1 is missing"},
			{"a hash is changed too", `UPDATE audit_record SET hash = '` + head.Hash.String() + `' WHERE seq = 6`, "record 6 was changed"},
			{"somebody else signs", `UPDATE audit_seal SET public_key = '` + audit.PublicKey(forged) + `' WHERE last = 6`, "record 4: the signature of the seal over records 4 to 6 is wrong"},
		} {
			undo := tamper(t, db, url, c.statement)
			db, err = store.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			w.deps.DB = db
			if _, err := w.verify(head); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.what, err, c.want)
			}
			undo(db)
			if db, err = store.Open(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			w.deps.DB = db
			if _, err := w.verify(head); err != nil {
				t.Fatalf("%s: after it was undone: %v", c.what, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// tamper closes the database, keeps its tables, and runs statements on them; undo brings them back.
func tamper(t *testing.T, db *store.DB, url, statements string) (undo func(*store.DB)) {
	run := func(db *store.DB, statements string) {
		t.Helper()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		driver, name := "pgx", url
		if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
			driver, name = "sqlite", file
		}
		raw, err := sql.Open(driver, name)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		for s := range strings.SplitSeq(statements, ";") {
			if _, err := raw.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	tables := []string{"audit_record", "audit_seal", "audit_head"}
	var keep, back strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&keep, "DROP TABLE IF EXISTS kept_%s; CREATE TABLE kept_%s AS SELECT * FROM %s;", table, table, table)
		fmt.Fprintf(&back, "DELETE FROM %s; INSERT INTO %s SELECT * FROM kept_%s;", table, table, table)
	}
	run(db, keep.String()+statements)
	return func(db *store.DB) { run(db, strings.TrimSuffix(back.String(), ";")) }
}

// Two nodes and many callers give one chain without a gap.
func TestSealersOfTwoNodes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a, b := newWorld(t, db), newWorld(t, db)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				w := []*world{a, b}[i%2]
				if err := w.change("StartPipelineExecution", fmt.Sprint("p", i), nil); err != nil {
					t.Error(err)
				}
				if err := w.Flush(w.ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		a.flush()
		b.flush()
		if head, err := a.verify(); err != nil || head.Seq != 40 {
			t.Error(head, err)
		}
	})
}

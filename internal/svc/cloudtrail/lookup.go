package cloudtrail

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	api "penstock/internal/api/cloudtrail"
	"penstock/internal/audit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// window is how far back LookupEvents sees.
	window = 90 * 24 * time.Hour
	// maxPage is how many events an answer has.
	maxPage = 50
	// maxAnswer is where an answer of GetSealedEvents ends, after one seal at least.
	maxAnswer = 512 << 10
	// sealsPage is how many seals are read at a time.
	sealsPage = 100
)

// LookupEvents gives the records of the caller's account and Region of the last 90 days, newest
// first (W-41).
func (r *Room) LookupEvents(ctx context.Context, in *api.LookupEventsInput) (*api.LookupEventsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "cloudtrail:LookupEvents", "*"); err != nil {
		return nil, err
	}
	q, err := r.query(c, in)
	if err != nil {
		return nil, err
	}
	var list []store.AuditRecord
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.LookupAudit(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.LookupEventsOutput{}
	if len(list) == q.Limit {
		list = list[:q.Limit-1]
		last := list[len(list)-1]
		out.NextToken = writePage(page{scopeOf(in), last.At.UnixMicro(), last.ID})
	}
	for _, rec := range list {
		e := api.Event{EventId: rec.ID, EventName: rec.Name, ReadOnly: strconv.FormatBool(rec.ReadOnly), AccessKeyId: rec.AccessKey, EventTime: &rec.At,
			EventSource: rec.Source, Username: rec.Username, CloudTrailEvent: rec.Doc}
		if rec.Resource != "" {
			e.Resources = []api.Resource{{ResourceName: rec.Resource}}
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

func (r *Room) query(c auth.Caller, in *api.LookupEventsInput) (store.AuditQuery, error) {
	now := r.deps.Now()
	q := store.AuditQuery{Account: c.Account, Region: c.Region, From: now.Add(-window), To: now, Limit: maxPage + 1}
	if in.EventCategory != "" {
		return q, fault.New("InvalidEventCategoryException", "Events of the category %s are not kept by this server", in.EventCategory)
	}
	if in.StartTime != nil && in.StartTime.After(q.From) {
		q.From = *in.StartTime
	}
	if in.EndTime != nil && in.EndTime.Before(q.To) {
		q.To = *in.EndTime
	}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime) {
		return q, fault.New("InvalidTimeRangeException", "The start time %s is after the end time %s", in.StartTime.Format(time.RFC3339), in.EndTime.Format(time.RFC3339))
	}
	if in.MaxResults != nil {
		q.Limit = int(*in.MaxResults) + 1
	}
	if len(in.LookupAttributes) > 1 {
		return q, fault.New("InvalidLookupAttributesException", "There are %d lookup attributes; one at most can be given", len(in.LookupAttributes))
	}
	for _, a := range in.LookupAttributes {
		value := text(a.AttributeValue)
		switch a.AttributeKey {
		case "EventId":
			q.ID = value
		case "EventName":
			q.Name = value
		case "EventSource":
			q.Source = value
		case "Username":
			q.Username = value
		case "ResourceName":
			q.Resource = value
		case "AccessKeyId":
			q.AccessKey = value
		case "ReadOnly":
			yes, err := strconv.ParseBool(value)
			if err != nil {
				return q, fault.New("InvalidLookupAttributesException", "The value of ReadOnly is true or false, not %.100q", value)
			}
			q.ReadOnly = &yes
		default:
			return q, fault.New("InvalidLookupAttributesException", "Events cannot be looked up by %s on this server", a.AttributeKey)
		}
	}
	if in.NextToken == "" {
		return q, nil
	}
	p, err := readPage(in.NextToken)
	if err != nil || p.Scope != scopeOf(in) {
		return q, fault.New("InvalidNextTokenException", "The next token is not one that this operation gave for the same request")
	}
	q.BeforeAt, q.BeforeID = time.UnixMicro(p.At).UTC(), p.ID
	return q, nil
}

// page is a position in an answer and a digest of what was asked.
type page struct {
	Scope string `json:"s"`
	At    int64  `json:"a"`
	ID    string `json:"i"`
}

func scopeOf(in *api.LookupEventsInput) string {
	asked, _ := json.Marshal([]any{in.LookupAttributes, in.StartTime, in.EndTime}) // texts and times
	sum := sha256.Sum256(asked)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func writePage(p page) string {
	doc, _ := json.Marshal(p) // texts and a number
	return base64.RawURLEncoding.EncodeToString(doc)
}

func readPage(token string) (p page, err error) {
	doc, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return p, err
	}
	if err = json.Unmarshal(doc, &p); err == nil && len(p.ID) > 64 {
		err = errors.New("that is no event's ID")
	}
	p.ID = text(p.ID)
	return p, err
}

// GetSealedEvents gives seals of the caller's account with their records, in their order: those
// after a number, or the one over an event. An event that is not sealed yet has none.
func (r *Room) GetSealedEvents(ctx context.Context, in *api.GetSealedEventsInput) (*api.GetSealedEventsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "cloudtrail:LookupEvents", "*"); err != nil {
		return nil, err
	}
	out := &api.GetSealedEventsOutput{Account: c.Account}
	after, limit := int64(0), sealsPage
	if in.AfterSequence != nil {
		after = *in.AfterSequence
	}
	if in.EventId != "" {
		var rec store.AuditRecord
		err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
			rec, err = tx.FindAudit(ctx, c.Account, text(in.EventId))
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.New("ResourceNotFoundException", "There is no event %s", in.EventId)
		}
		if err != nil || rec.Seq == 0 {
			return out, err
		}
		after, limit = rec.Seq-1, 1
	}
	runs, err := runs(ctx, r.deps.DB, c.Account, after, limit)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		s := api.Seal{First: &run.First, Last: &run.Last, PreviousHash: run.Prev.String(), Hash: run.Hash.String(), SealedAtMicros: new(run.At.UnixMicro()),
			PublicKey: run.Key, Signature: run.Signature}
		for _, rec := range run.Records {
			s.Events = append(s.Events, api.SealedEvent{Sequence: &rec.Seq, Hash: rec.Hash.String(), CloudTrailEvent: rec.Text})
		}
		out.Seals = append(out.Seals, s)
	}
	return out, nil
}

// Runs gives some of the runs of an account's chain that come after a record, in their order, as
// the database has them; none at the end.
func Runs(ctx context.Context, db *store.DB, account string, after int64) ([]audit.Run, error) {
	return runs(ctx, db, account, after, sealsPage)
}

func runs(ctx context.Context, db *store.DB, account string, after int64, limit int) (list []audit.Run, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		list = nil
		seals, err := tx.AuditSeals(ctx, account, after, limit)
		size := 0
		for _, s := range seals {
			if err != nil || size > maxAnswer {
				break
			}
			var run audit.Run
			if run, err = readRun(ctx, tx, s); err == nil {
				list = append(list, run)
			}
			for _, rec := range run.Records {
				size += len(rec.Text)
			}
		}
		return err
	})
	return list, err
}

// readRun reads the records of a seal. A hash that is none counts as one that fits nothing.
func readRun(ctx context.Context, tx *store.Tx, s store.AuditSeal) (audit.Run, error) {
	run := audit.Run{Seal: audit.Seal{Account: s.Account, First: s.First, Last: s.Last, Prev: hash(s.Prev), Hash: hash(s.Hash), At: s.At, Key: s.Key, Signature: s.Signature}}
	// One more than there can be, so that one too many is seen.
	last := min(s.Last, s.First+maxRun)
	records, err := tx.SealedAudit(ctx, s.Account, s.First, last)
	for _, r := range records {
		run.Records = append(run.Records, audit.Record{Seq: r.Seq, Hash: hash(r.Hash), Text: r.Doc})
	}
	return run, err
}

func hash(s string) audit.Hash {
	h, err := audit.ParseHash(s)
	if err != nil {
		return audit.Digest(s)
	}
	return h
}

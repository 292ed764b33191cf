package logs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	api "penstock/internal/api/logs"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

func encode(b []byte) string                      { return base64.RawURLEncoding.EncodeToString(b) }
func decode(s string) ([]byte, error)             { return base64.RawURLEncoding.DecodeString(s) }
func streamARN(c auth.Caller, g, s string) string { return groupARN(c, g) + ":log-stream:" + s }

// CreateLogStream implements the API.
func (r *Room) CreateLogStream(ctx context.Context, in *api.CreateLogStreamInput) (*api.CreateLogStreamOutput, error) {
	c, err := check(ctx, "CreateLogStream", in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return &api.CreateLogStreamOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		g, _, err := group(ctx, tx, c, in.LogGroupName)
		if err != nil {
			return err
		}
		added, err := tx.AddLogStream(ctx, store.LogStream{ID: newID(), GroupID: g.ID, Name: in.LogStreamName})
		switch {
		case err != nil:
			return err
		case !added:
			return fault.New("ResourceAlreadyExistsException", "The specified log stream already exists")
		}
		return nil
	})
}

// DeleteLogStream implements the API.
func (r *Room) DeleteLogStream(ctx context.Context, in *api.DeleteLogStreamInput) (*api.DeleteLogStreamOutput, error) {
	c, err := check(ctx, "DeleteLogStream", in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteLogStreamOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		_, s, err := stream(ctx, tx, c, in.LogGroupName, in.LogStreamName)
		if err != nil {
			return err
		}
		return tx.DeleteLogStream(ctx, s.ID)
	})
}

func stream(ctx context.Context, tx *store.Tx, c auth.Caller, groupName, name string) (store.LogGroup, store.LogStream, error) {
	g, _, err := group(ctx, tx, c, groupName)
	if err != nil {
		return g, store.LogStream{}, err
	}
	s, err := tx.GetLogStream(ctx, g.ID, name)
	return g, s, noStream(err)
}

// streamPlace is where a list of streams goes on.
type streamPlace struct {
	Name string `json:"n"`
	Last int64  `json:"t,omitempty"`
}

// DescribeLogStreams implements the API.
func (r *Room) DescribeLogStreams(ctx context.Context, in *api.DescribeLogStreamsInput) (*api.DescribeLogStreamsOutput, error) {
	name, err := identify(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	c, err := check(ctx, "DescribeLogStreams", name, "")
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == "LastEventTime"
	if byTime && in.LogStreamNamePrefix != "" {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	place, err := openToken[streamPlace](in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := limitOf(in.Limit, 50, 50)
	page := store.Keyset{After: place.Name, AfterTime: time.UnixMilli(place.Last), Descending: in.Descending != nil && *in.Descending, Limit: limit + 1}
	var list []store.LogStream
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		g, _, err := group(ctx, tx, c, name)
		switch {
		case err != nil:
			return err
		case byTime:
			list, err = tx.ListRecentLogStreams(ctx, g.ID, page)
		default:
			list, err = tx.ListLogStreams(ctx, g.ID, in.LogStreamNamePrefix, page)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogStreamsOutput{LogStreams: []api.LogStream{}}
	if len(list) > limit {
		list = list[:limit]
		out.NextToken = sealToken(streamPlace{list[limit-1].Name, list[limit-1].LastEvent})
	}
	for _, s := range list {
		d := api.LogStream{
			LogStreamName: s.Name, CreationTime: new(s.Created.UnixMilli()), Arn: streamARN(c, name, s.Name),
			StoredBytes: new(int64(0)), UploadSequenceToken: sequence(s.Batches),
		}
		if s.FirstEvent >= 0 {
			d.FirstEventTimestamp, d.LastEventTimestamp, d.LastIngestionTime = new(s.FirstEvent), new(s.LastEvent), new(s.LastIngestion)
		}
		out.LogStreams = append(out.LogStreams, d)
	}
	return out, nil
}

// event is one event as rows keep it.
type event struct {
	Time    int64
	Message string
}

// MarshalJSON writes an event as a pair, which is half the size of an object.
func (e event) MarshalJSON() ([]byte, error) { return json.Marshal([]any{e.Time, e.Message}) }

// UnmarshalJSON reads the pair.
func (e *event) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&e.Time, &e.Message})
}

func unpack(b store.LogBatch) ([]event, error) {
	var list []event
	err := json.Unmarshal([]byte(b.Events), &list)
	return list, err
}

// Limits of PutLogEvents, as AWS has them.
const (
	maxBatch  = 1 << 20
	overhead  = 26
	maxEvents = 10_000
	daySpan   = 24 * time.Hour
	tooNew    = 2 * time.Hour
	tooOld    = 14 * daySpan
)

// PutLogEvents implements the API. The sequence token is accepted and not needed, as in AWS
// since 2023.
func (r *Room) PutLogEvents(ctx context.Context, in *api.PutLogEventsInput) (*api.PutLogEventsOutput, error) {
	c, err := check(ctx, "PutLogEvents", in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	size := 0
	for i, e := range in.LogEvents {
		if e.Timestamp == nil || *e.Timestamp < 0 {
			return nil, invalid("1 validation error detected: Value at 'logEvents.%d.member.timestamp' failed to satisfy constraint: Member must have value greater than or equal to 0", i+1)
		}
		if i > 0 && *e.Timestamp < *in.LogEvents[i-1].Timestamp {
			return nil, invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += len(e.Message) + overhead
	}
	switch n := len(in.LogEvents); {
	case n == 0 || n > maxEvents:
		return nil, invalid("1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length between 1 and %d", maxEvents)
	case size > maxBatch:
		return nil, invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatch)
	case *in.LogEvents[n-1].Timestamp-*in.LogEvents[0].Timestamp > daySpan.Milliseconds():
		return nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	if r.deps.DB.Full() {
		return nil, store.ErrFull // a flood of them would take the room that is kept for what cannot wait
	}
	out := &api.PutLogEventsOutput{}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		*out = api.PutLogEventsOutput{}
		g, s, err := stream(ctx, tx, c, in.LogGroupName, in.LogStreamName)
		if err != nil {
			return err
		}
		events := accept(tx, g, in.LogEvents, out)
		out.NextSequenceToken = sequence(s.Batches + 1)
		if len(events) == 0 {
			return nil
		}
		var text strings.Builder
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(events); err != nil {
			return err
		}
		tx.AfterCommit(func() { r.deps.Notify(streamARN(c, in.LogGroupName, in.LogStreamName)) })
		return noStream(tx.AddLogBatch(ctx, store.LogBatch{
			StreamID: s.ID, GroupID: g.ID, FirstEvent: events[0].Time, LastEvent: events[len(events)-1].Time, Events: text.String(),
		}, int64(size)))
	})
	return out, err
}

// accept leaves out the events whose time AWS does not take, and says which.
func accept(tx *store.Tx, g store.LogGroup, in []api.InputLogEvent, out *api.PutLogEventsOutput) []event {
	newest := tx.Now().Add(tooNew).UnixMilli()
	first := tx.Now().Add(-tooOld).UnixMilli()
	kept := g.Oldest(tx.Now())
	var list []event
	info := &api.RejectedLogEventsInfo{}
	for i, e := range in {
		switch t := *e.Timestamp; {
		case t > newest:
			if info.TooNewLogEventStartIndex == nil {
				info.TooNewLogEventStartIndex = new(int32(i))
			}
			out.RejectedLogEventsInfo = info
		case t < kept:
			info.ExpiredLogEventEndIndex = new(int32(i + 1))
			out.RejectedLogEventsInfo = info
		case t < first:
			info.TooOldLogEventEndIndex = new(int32(i + 1))
			out.RejectedLogEventsInfo = info
		default:
			list = append(list, event{t, e.Message})
		}
	}
	return list
}

package logs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	api "penstock/internal/api/logs"
	"penstock/internal/store"
)

// An event's position in its stream is the number of its batch and its index in it; a
// batch has at most maxEvents, which fit into indexBits.
const (
	indexBits = 14
	indexMask = 1<<indexBits - 1
	maxNumber = math.MaxInt64 >> indexBits
	pageBytes = 1 << 20
	scanBytes = 10 << 20
)

func sequence(n int64) string { return fmt.Sprintf("%056d", n) }

// positionToken writes a position as AWS's tokens look: f/… goes forward from it, b/… back.
func positionToken(direction string, position int64) string {
	return fmt.Sprintf("%s/%056d/s", direction, position)
}

func openPosition(token string) (forward bool, position int64, err error) {
	parts := strings.Split(token, "/")
	if len(parts) == 3 && (parts[0] == "f" || parts[0] == "b") && parts[2] == "s" {
		if position, err = strconv.ParseInt(parts[1], 10, 64); err == nil && position >= 0 {
			return parts[0] == "f", position, nil
		}
	}
	return false, 0, invalid("The specified nextToken is invalid.")
}

// GetLogEvents implements the API. At the end of the stream the token that was given comes
// back, and stays good: it is how a reader follows a log.
func (r *Room) GetLogEvents(ctx context.Context, in *api.GetLogEventsInput) (*api.GetLogEventsOutput, error) {
	name, err := identify(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	c, err := check(ctx, "GetLogEvents", name, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	forward, position := in.StartFromHead != nil && *in.StartFromHead, int64(0)
	if !forward {
		position = math.MaxInt64
	}
	if in.NextToken != "" {
		if forward, position, err = openPosition(in.NextToken); err != nil {
			return nil, err
		}
	}
	q := query{start: 0, end: store.EndOfTime, limit: limitOf(in.Limit, maxEvents, maxEvents)}
	if in.StartTime != nil {
		q.start = *in.StartTime
	}
	if in.EndTime != nil {
		q.end = *in.EndTime
	}
	var found []placed
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		g, s, err := stream(ctx, tx, c, name, in.LogStreamName)
		if err != nil {
			return err
		}
		q.start = max(q.start, g.Oldest(tx.Now()))
		found, err = q.stream(ctx, tx, s.ID, forward, position)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.GetLogEventsOutput{Events: []api.OutputLogEvent{}}
	for _, p := range found {
		out.Events = append(out.Events, api.OutputLogEvent{Timestamp: new(p.event.Time), Message: p.event.Message, IngestionTime: new(p.ingested)})
	}
	switch {
	case len(found) > 0:
		out.NextBackwardToken = positionToken("b", found[0].position)
		out.NextForwardToken = positionToken("f", found[len(found)-1].position+1)
	case position == math.MaxInt64: // an empty stream, read from its end
		out.NextBackwardToken, out.NextForwardToken = positionToken("b", 0), positionToken("f", 0)
	default:
		out.NextBackwardToken, out.NextForwardToken = positionToken("b", position), positionToken("f", position)
	}
	return out, nil
}

// placed is an event with its position.
type placed struct {
	event    event
	position int64
	ingested int64
}

// query is the range and the size of a read.
type query struct {
	start, end int64
	limit      int
}

// stream reads events of a stream in order: from a position on, or the last ones before it.
func (q query) stream(ctx context.Context, tx *store.Tx, id string, forward bool, position int64) ([]placed, error) {
	var out []placed
	size := 0
	number := min(position>>indexBits, maxNumber)
	for {
		batches, err := tx.StreamLogBatches(ctx, id, number, !forward, q.start, q.end, 8)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			events, err := unpack(b)
			if err != nil {
				return nil, err
			}
			for i := range events {
				if !forward {
					i = len(events) - 1 - i
				}
				p := placed{events[i], b.Number<<indexBits | int64(i), b.Ingested}
				if p.event.Time < q.start || p.event.Time >= q.end || forward && p.position < position || !forward && p.position >= position {
					continue
				}
				size += len(p.event.Message) + overhead
				if len(out) == q.limit || size > pageBytes && len(out) > 0 {
					return q.ordered(out, forward), nil
				}
				out = append(out, p)
			}
			number = b.Number + 1
			if !forward {
				number = b.Number - 1
			}
		}
		if len(batches) < 8 {
			return q.ordered(out, forward), nil
		}
	}
}

func (q query) ordered(list []placed, forward bool) []placed {
	if !forward {
		slices.Reverse(list)
	}
	return list
}

// filterPlace is where a filter goes on: a batch and an index in it.
type filterPlace struct {
	First  int64  `json:"f"`
	Stream string `json:"s"`
	Number int64  `json:"n"`
	Index  int    `json:"i,omitempty"`
}

// FilterLogEvents implements the API, as `aws logs tail` uses it: pages in order of time
// over all streams, with event ids that stay the same.
func (r *Room) FilterLogEvents(ctx context.Context, in *api.FilterLogEventsInput) (*api.FilterLogEventsOutput, error) {
	name, err := identify(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	c, err := check(ctx, "FilterLogEvents", name, "")
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != "" {
		return nil, invalid("Only one of logStreamNames and logStreamNamePrefix can be specified.")
	}
	match, err := compile(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	place, err := openToken[filterPlace](in.NextToken)
	if err != nil {
		return nil, err
	}
	start, end := int64(0), int64(store.EndOfTime)
	if in.StartTime != nil {
		start = *in.StartTime
	}
	if in.EndTime != nil && *in.EndTime < store.EndOfTime {
		end = *in.EndTime + 1 // the end belongs to the range here
	}
	limit := limitOf(in.Limit, maxEvents, maxEvents)
	var out *api.FilterLogEventsOutput
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		g, _, err := group(ctx, tx, c, name)
		if err != nil {
			return err
		}
		first, last := end, int64(-1) // what the streams have that are named
		for _, name := range in.LogStreamNames {
			s, err := tx.GetLogStream(ctx, g.ID, name)
			if err != nil {
				return noStream(err)
			}
			if s.LastEvent >= 0 {
				first, last = min(first, s.FirstEvent), max(last, s.LastEvent)
			}
		}
		start = max(start, g.Oldest(tx.Now()))
		if len(in.LogStreamNames) > 0 {
			start, end = max(start, first), min(end, last+1)
		}
		// A batch spans a day at most, so a long past of the group is not looked at.
		if oldest := start - daySpan.Milliseconds(); place.First < oldest {
			place = filterPlace{First: oldest}
		}
		out = &api.FilterLogEventsOutput{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
		size, scanned := 0, 0
		for {
			batches, err := tx.GroupLogBatches(ctx, g.ID, in.LogStreamNames, in.LogStreamNamePrefix,
				store.LogPlace{FirstEvent: place.First, StreamID: place.Stream, Number: place.Number}, start, end, 8)
			if err != nil {
				return err
			}
			for _, b := range batches {
				here := filterPlace{First: b.FirstEvent, Stream: b.StreamID, Number: b.Number}
				if here.First != place.First || here.Stream != place.Stream || here.Number != place.Number {
					place = here
				}
				events, err := unpack(b.LogBatch)
				if err != nil {
					return err
				}
				scanned += len(b.Events)
				for i := place.Index; i < len(events); i++ {
					e := events[i]
					if e.Time < start || e.Time >= end || !match(e.Message) {
						continue
					}
					size += len(e.Message) + overhead
					if len(out.Events) == limit || size > pageBytes && len(out.Events) > 0 {
						place.Index = i
						out.NextToken = sealToken(place)
						return nil
					}
					out.Events = append(out.Events, api.FilteredLogEvent{
						LogStreamName: b.Stream, Timestamp: new(e.Time), Message: e.Message, IngestionTime: new(b.Ingested),
						EventId: eventID(b.StreamID, b.Number, i, e.Time),
					})
				}
				place.Index, place.Number = 0, b.Number+1
			}
			switch {
			case len(batches) < 8:
				return nil
			case scanned > scanBytes:
				out.NextToken = sealToken(place)
				return nil
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.Events, func(a, b api.FilteredLogEvent) int { return int(max(-1, min(1, *a.Timestamp-*b.Timestamp))) })
	return out, nil
}

// eventID is 56 digits that begin with the time, as AWS's do.
func eventID(stream string, number int64, index int, at int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", stream, number, index))
	return fmt.Sprintf("3%016d%039d", at, new(big.Int).SetBytes(sum[:16]))
}

// compile reads a filter pattern of terms: all plain and "quoted" terms must be in the
// message, none with a minus, and one of those with a question mark if there are some.
func compile(pattern string) (func(message string) bool, error) {
	rest := strings.TrimSpace(pattern)
	if strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, "%") {
		return nil, invalid("Invalid filter pattern: this server matches terms only, such as ERROR \"not found\" -retry ?one ?other")
	}
	var all, any, none []string
	for rest != "" {
		dst := &all
		switch rest[0] {
		case '-':
			dst, rest = &none, rest[1:]
		case '?':
			dst, rest = &any, rest[1:]
		}
		var term string
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, invalid("Invalid filter pattern: a quotation mark is missing")
			}
			term, rest = rest[1:end+1], rest[end+2:]
		} else {
			term, rest, _ = strings.Cut(rest, " ")
		}
		rest = strings.TrimSpace(rest)
		if term != "" {
			*dst = append(*dst, term)
		}
	}
	return func(m string) bool {
		has := func(t string) bool { return strings.Contains(m, t) }
		return !slices.ContainsFunc(none, has) && (len(any) == 0 || slices.ContainsFunc(any, has)) &&
			!slices.ContainsFunc(all, func(t string) bool { return !has(t) })
	}, nil
}

package store

import (
	"context"
	"database/sql"
	"math"
	"time"
)

// LogGroup is a row of a log group; Doc is the room's own.
type LogGroup struct {
	ID, Account, Region, Name string
	Created                   time.Time
	// Retention is in days, 0 for ever.
	Retention int
	Doc       string
}

// LogStream is a row of a log stream. Event times are milliseconds since 1970, -1 for none.
type LogStream struct {
	ID, GroupID, Name                    string
	Created                              time.Time
	FirstEvent, LastEvent, LastIngestion int64
	Bytes, Batches                       int64
}

// LogBatch is one call's events of one stream; Events is the room's own text.
type LogBatch struct {
	StreamID, GroupID               string
	Number                          int64
	FirstEvent, LastEvent, Ingested int64
	Events                          string
}

// AddLogGroup adds a group and tells whether its name was free.
func (tx *Tx) AddLogGroup(ctx context.Context, g LogGroup) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO log_group (id, account, region, name, created, retention, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, region, name) DO NOTHING`,
		g.ID, g.Account, g.Region, g.Name, micros(tx.Now()), g.Retention, g.Doc)
	return n == 1, err
}

// SetLogGroup replaces retention and document of a group.
func (tx *Tx) SetLogGroup(ctx context.Context, g LogGroup) error {
	n, err := tx.exec(ctx, `UPDATE log_group SET retention = $2, doc = $3 WHERE id = $1`, g.ID, g.Retention, g.Doc)
	return found(n, err)
}

const groupColumns = `id, account, region, name, created, retention, doc`

func (g *LogGroup) dest(created *int64) []any {
	return []any{&g.ID, &g.Account, &g.Region, &g.Name, created, &g.Retention, &g.Doc}
}

func scanLogGroup(rows *sql.Rows) (LogGroup, error) {
	var g LogGroup
	var created int64
	err := rows.Scan(g.dest(&created)...)
	g.Created = time.UnixMicro(created).UTC()
	return g, err
}

// GetLogGroup reads a group; ErrNotFound if there is none.
func (tx *Tx) GetLogGroup(ctx context.Context, account, region, name string) (LogGroup, error) {
	var g LogGroup
	var created int64
	err := tx.one(ctx, `SELECT `+groupColumns+` FROM log_group WHERE account = $1 AND region = $2 AND name = $3`,
		[]any{account, region, name}, g.dest(&created)...)
	g.Created = time.UnixMicro(created).UTC()
	return g, err
}

// ListLogGroups gives a page of groups whose names begin with the prefix, by name.
func (tx *Tx) ListLogGroups(ctx context.Context, account, region, prefix string, page Keyset) ([]LogGroup, error) {
	return all(ctx, tx, `SELECT `+groupColumns+` FROM log_group WHERE account = $1 AND region = $2 AND name > $3
		AND name >= $4 AND name < $5 ORDER BY name LIMIT $6`,
		[]any{account, region, page.After, prefix, prefix + "\U0010FFFF", page.Limit}, scanLogGroup)
}

// DeleteLogGroup removes a group with its streams and events.
func (tx *Tx) DeleteLogGroup(ctx context.Context, id string) error {
	for _, q := range []string{
		`DELETE FROM log_batch WHERE group_id = $1`, `DELETE FROM log_stream WHERE group_id = $1`, `DELETE FROM log_group WHERE id = $1`,
	} {
		if _, err := tx.exec(ctx, q, id); err != nil {
			return err
		}
	}
	return nil
}

// AddLogStream adds a stream and tells whether its name was free.
func (tx *Tx) AddLogStream(ctx context.Context, s LogStream) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO log_stream (id, group_id, name, created, first_event, last_event, last_ingestion, bytes, batches)
		VALUES ($1, $2, $3, $4, -1, -1, -1, 0, 0) ON CONFLICT (group_id, name) DO NOTHING`,
		s.ID, s.GroupID, s.Name, micros(tx.Now()))
	return n == 1, err
}

const streamColumns = `id, group_id, name, created, first_event, last_event, last_ingestion, bytes, batches`

func (s *LogStream) dest(created *int64) []any {
	return []any{&s.ID, &s.GroupID, &s.Name, created, &s.FirstEvent, &s.LastEvent, &s.LastIngestion, &s.Bytes, &s.Batches}
}

func scanStream(rows *sql.Rows) (LogStream, error) {
	var s LogStream
	var created int64
	err := rows.Scan(s.dest(&created)...)
	s.Created = time.UnixMicro(created).UTC()
	return s, err
}

// GetLogStream reads a stream; ErrNotFound if there is none.
func (tx *Tx) GetLogStream(ctx context.Context, groupID, name string) (LogStream, error) {
	var s LogStream
	var created int64
	err := tx.one(ctx, `SELECT `+streamColumns+` FROM log_stream WHERE group_id = $1 AND name = $2`, []any{groupID, name}, s.dest(&created)...)
	s.Created = time.UnixMicro(created).UTC()
	return s, err
}

// ListLogStreams gives a page of streams by name; only those with the prefix.
func (tx *Tx) ListLogStreams(ctx context.Context, groupID, prefix string, page Keyset) ([]LogStream, error) {
	compare, order := page.direction()
	args := []any{groupID, prefix, prefix + "\U0010FFFF", page.Limit}
	where := ``
	if page.After != "" {
		where = ` AND name ` + compare + ` $5`
		args = append(args, page.After)
	}
	return all(ctx, tx, `SELECT `+streamColumns+` FROM log_stream WHERE group_id = $1 AND name >= $2 AND name < $3`+where+`
		ORDER BY name `+order+` LIMIT $4`, args, scanStream)
}

// ListRecentLogStreams gives a page of streams by the time of their last event; the page
// goes on after a stream with AfterTime's milliseconds.
func (tx *Tx) ListRecentLogStreams(ctx context.Context, groupID string, page Keyset) ([]LogStream, error) {
	compare, order := page.direction()
	args := []any{groupID, page.Limit}
	where := ``
	if page.After != "" {
		where = ` AND (last_event, name) ` + compare + ` ($3, $4)`
		args = append(args, page.AfterTime.UnixMilli(), page.After)
	}
	return all(ctx, tx, `SELECT `+streamColumns+` FROM log_stream WHERE group_id = $1`+where+`
		ORDER BY last_event `+order+`, name `+order+` LIMIT $2`, args, scanStream)
}

// DeleteLogStream removes a stream with its events.
func (tx *Tx) DeleteLogStream(ctx context.Context, id string) error {
	if _, err := tx.exec(ctx, `DELETE FROM log_batch WHERE stream_id = $1`, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM log_stream WHERE id = $1`, id)
	return err
}

// AddLogBatch appends events to a stream, which counts them; ErrNotFound if the stream has
// gone. Number and Ingested of the batch are made here.
func (tx *Tx) AddLogBatch(ctx context.Context, b LogBatch, bytes int64) error {
	now := tx.Now().UnixMilli()
	var number int64
	err := tx.one(ctx, `UPDATE log_stream SET batches = batches + 1, bytes = bytes + $2, last_ingestion = $3,
		first_event = CASE WHEN first_event < 0 OR first_event > $4 THEN $4 ELSE first_event END,
		last_event = CASE WHEN last_event < $5 THEN $5 ELSE last_event END
		WHERE id = $1 RETURNING batches`, []any{b.StreamID, bytes, now, b.FirstEvent, b.LastEvent}, &number)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO log_batch (stream_id, number, group_id, first_event, last_event, ingested, events)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, b.StreamID, number, b.GroupID, b.FirstEvent, b.LastEvent, now, b.Events)
	return err
}

const batchColumns = `stream_id, number, group_id, first_event, last_event, ingested, events`

func scanBatch(rows *sql.Rows) (LogBatch, error) {
	var b LogBatch
	err := rows.Scan(&b.StreamID, &b.Number, &b.GroupID, &b.FirstEvent, &b.LastEvent, &b.Ingested, &b.Events)
	return b, err
}

// StreamLogBatches gives batches of a stream that may hold events of a time range: up from
// number from, or down from it when descending.
func (tx *Tx) StreamLogBatches(ctx context.Context, streamID string, from int64, descending bool, start, end int64, limit int) ([]LogBatch, error) {
	compare, order := ">=", "ASC"
	if descending {
		compare, order = "<=", "DESC"
	}
	return all(ctx, tx, `SELECT `+batchColumns+` FROM log_batch WHERE stream_id = $1 AND number `+compare+` $2
		AND last_event >= $3 AND first_event < $4 ORDER BY number `+order+` LIMIT $5`,
		[]any{streamID, from, start, end, limit}, scanBatch)
}

// LogPlace is a place in the order of a group's batches.
type LogPlace struct {
	FirstEvent int64
	StreamID   string
	Number     int64
}

// NamedLogBatch is a batch with the name of its stream.
type NamedLogBatch struct {
	LogBatch
	Stream string
}

// GroupLogBatches gives batches of a group that may hold events of a time range, from a
// place on, by the time of their first event; only of the streams named, if any are, and
// only of streams with the prefix.
func (tx *Tx) GroupLogBatches(ctx context.Context, groupID string, streams []string, prefix string, from LogPlace, start, end int64, limit int) ([]NamedLogBatch, error) {
	args := []any{groupID, from.FirstEvent, from.StreamID, from.Number, start, end, limit}
	only := ``
	switch {
	case len(streams) > 0:
		var names string
		names, args = inList(args, streams)
		only = ` AND s.name IN ` + names
	case prefix != "":
		args = append(args, prefix, prefix+"\U0010FFFF")
		only = ` AND s.name >= $8 AND s.name < $9`
	}
	return all(ctx, tx, `SELECT b.stream_id, b.number, b.group_id, b.first_event, b.last_event, b.ingested, b.events, s.name
		FROM log_batch b JOIN log_stream s ON s.id = b.stream_id WHERE b.group_id = $1
		AND (b.first_event, b.stream_id, b.number) >= ($2, $3, $4) AND b.last_event >= $5 AND b.first_event < $6`+only+`
		ORDER BY b.first_event, b.stream_id, b.number LIMIT $7`, args, func(rows *sql.Rows) (NamedLogBatch, error) {
		var b NamedLogBatch
		err := rows.Scan(&b.StreamID, &b.Number, &b.GroupID, &b.FirstEvent, &b.LastEvent, &b.Ingested, &b.Events, &b.Stream)
		return b, err
	})
}

// Oldest is the first millisecond of which a group has events still.
func (g LogGroup) Oldest(now time.Time) int64 {
	if g.Retention == 0 {
		return 0
	}
	return now.Add(-time.Duration(g.Retention) * 24 * time.Hour).UnixMilli()
}

// ExpiringLogGroups gives up to limit groups of all accounts that do not keep their events
// for ever, by id, those after the id given.
func (tx *Tx) ExpiringLogGroups(ctx context.Context, after string, limit int) ([]LogGroup, error) {
	return all(ctx, tx, `SELECT `+groupColumns+` FROM log_group WHERE id > $1 AND retention > 0 ORDER BY id LIMIT $2`, []any{after, limit}, scanLogGroup)
}

// ExpireLogs removes up to limit batches of a group all of whose events are older than it
// keeps, and says how many it did.
func (tx *Tx) ExpireLogs(ctx context.Context, g LogGroup, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM log_batch WHERE (stream_id, number) IN (SELECT stream_id, number FROM log_batch
		WHERE group_id = $1 AND first_event < $2 AND last_event < $2 ORDER BY first_event LIMIT $3)`, g.ID, g.Oldest(tx.Now()), limit)
	return int(n), err
}

// EndOfTime is later than any event.
const EndOfTime = math.MaxInt64

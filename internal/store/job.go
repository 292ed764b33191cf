package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
)

// JobRow is a job with the state of its hand-out.
type JobRow struct {
	engine.Job
	PipelineID string
	Status     engine.JobStatus
	// Nonce is what the worker must acknowledge with; new at each dispatch (S-306).
	Nonce string
	// Node holds the job if it is done inside a server; Fence grows with each hand-out, so
	// that a holder that lost its lease can be told from the present one.
	Node  string
	Fence int64
	// Client is whom the job was handed to, if its type belongs to a third party (S-318).
	Client string
}

// FunctionQueue is the line of the jobs that are done by the function of their type, whatever
// the type and the account: a server takes them all (S-321).
const FunctionQueue = "function"

func queueOf(j engine.Job) string {
	if j.Function != "" {
		return FunctionQueue
	}
	return Queue(j.Account, j.Region, j.Type)
}

// Queue names the line a job of a type waits in. Custom types are lines of an account and Region.
func Queue(account, region string, id pipeline.ActionTypeID) string {
	q := id.Owner + "/" + id.Category + "/" + id.Provider + "/" + id.Version
	if id.Owner == "AWS" {
		return q
	}
	return account + "/" + region + "/" + q
}

const jobColumns = `pipeline_id, status, nonce, node, fence, client, doc`

func (tx *Tx) scanJob(rows *sql.Rows) (*JobRow, error) {
	var j JobRow
	var doc []byte
	if err := rows.Scan(&j.PipelineID, &j.Status, &j.Nonce, &j.Node, &j.Fence, &j.Client, &doc); err != nil {
		return nil, err
	}
	return &j, tx.readJob(doc, &j.Job)
}

// A job that waits, for its time or for an acknowledgement, is due at its not_before; its
// lease_until says when the wait began. A wait that begins later than now was begun before
// the clock was set back: nobody can say how much of it is left, and a job that comes early
// does no harm, so it is over. Less than a minute is what the clocks of two servers, or two
// transactions under way at once, may be apart.
// $1 is now and $2 the query value.
const isSetBack = ` AND query_value = $2 AND status IN ('Queued', 'Dispatched') AND not_before > $1 AND lease_until > $1 + 60000000`

// InsertJob makes a job available in its queue from notBefore on. The query value is that
// of the type's queryable property, or empty (S-305).
func (tx *Tx) InsertJob(ctx context.Context, pipelineID string, j engine.Job, query string, notBefore time.Time) error {
	row, err := tx.jobRow(&JobRow{Job: j, PipelineID: pipelineID, Status: engine.JobQueued}, query, notBefore, tx.Now())
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO job (`+jobRowColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, '', $11, 0)`, row...)
	return err
}

const jobRowColumns = `id, pipeline_id, execution_id, run_id, queue, query_value, status, not_before, lease_until, node, fence, nonce, doc, ended`

// jobRow is the row of a job that nobody holds: all columns but those of its holder, and its end.
func (tx *Tx) jobRow(j *JobRow, query string, notBefore, since time.Time) ([]any, error) {
	doc, err := tx.writeJob(&j.Job)
	return []any{string(j.ID), j.PipelineID, string(j.Execution), string(j.Run), queueOf(j.Job), query, string(j.Status),
		micros(notBefore), micros(since), j.Fence, string(doc)}, err
}

// EndJob records the final status of a job.
func (tx *Tx) EndJob(ctx context.Context, id pipeline.JobID, status engine.JobStatus) error {
	_, err := tx.exec(ctx, `UPDATE job SET status = $2, node = '', lease_until = 0, ended = $3 WHERE id = $1`, string(id), string(status), micros(tx.Now()))
	return err
}

// Job gives one job; ErrNotFound if there is none.
func (tx *Tx) Job(ctx context.Context, id pipeline.JobID) (*JobRow, error) {
	return first(all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE id = $1`, []any{string(id)}, tx.scanJob))
}

// LockJob is Job for a transaction that is about to change the job's hand-out.
func (tx *Tx) LockJob(ctx context.Context, id pipeline.JobID) (*JobRow, error) {
	return first(all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE id = $1`+tx.forUpdate(), []any{string(id)}, tx.scanJob))
}

// JobsWaiting says whether DispatchJobs would hand out anything now.
func (tx *Tx) JobsWaiting(ctx context.Context, queue, query string) (bool, error) {
	var one int
	err := tx.one(ctx, `SELECT 1 FROM job WHERE queue = $1 AND query_value = $2 AND status IN ('Queued', 'Dispatched') AND not_before <= $3
		LIMIT 1`, []any{queue, query, micros(tx.Now())}, &one)
	if errors.Is(err, ErrNotFound) {
		return tx.anySetBack(ctx, []string{queue}, query)
	}
	return err == nil, err
}

func (tx *Tx) anySetBack(ctx context.Context, queues []string, query string) (bool, error) {
	// Nearly always none is, in any queue, and thousands may wait.
	var latest sql.NullInt64
	if err := tx.one(ctx, `SELECT max(lease_until) FROM job WHERE status IN ('Queued', 'Dispatched')`, nil, &latest); err != nil || latest.Int64 <= micros(tx.Now()) {
		return false, err
	}
	names, args := inList([]any{micros(tx.Now()), query}, queues)
	var one int
	err := tx.one(ctx, `SELECT 1 FROM job WHERE queue IN `+names+isSetBack+` LIMIT 1`, args, &one)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// withSetBack adds to the jobs that are due, up to limit, those that are because the clock was
// set back.
func (tx *Tx) withSetBack(ctx context.Context, jobs []*JobRow, queues []string, query string, limit int) ([]*JobRow, error) {
	if len(jobs) == limit {
		return jobs, nil
	}
	if some, err := tx.anySetBack(ctx, queues, query); !some || err != nil {
		return jobs, err
	}
	for _, q := range queues {
		early, err := all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE queue = $4`+isSetBack+` ORDER BY not_before, id LIMIT $3`+tx.skipLocked(),
			[]any{micros(tx.Now()), query, limit - len(jobs), q}, tx.scanJob)
		if err != nil {
			return nil, err
		}
		if jobs = append(jobs, early...); len(jobs) == limit {
			break
		}
	}
	return jobs, nil
}

// DispatchJobs hands out up to limit jobs of a queue to a worker elsewhere, oldest first
// (S-304). A job not acknowledged within the window becomes available again (S-306), with a
// new nonce: its not_before is when that is.
func (tx *Tx) DispatchJobs(ctx context.Context, queue, query string, limit int, window time.Duration) ([]*JobRow, error) {
	now := tx.Now()
	jobs, err := all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE queue = $1 AND query_value = $2 AND status IN ('Queued', 'Dispatched')
		AND not_before <= $3 ORDER BY not_before, id LIMIT $4`+tx.skipLocked(), []any{queue, query, micros(now), limit}, tx.scanJob)
	if err != nil {
		return nil, err
	}
	if jobs, err = tx.withSetBack(ctx, jobs, []string{queue}, query, limit); err != nil {
		return nil, err
	}
	for _, j := range jobs {
		j.Status, j.Nonce, j.Fence = engine.JobDispatched, rand.Text()[:16], j.Fence+1
		if _, err := tx.exec(ctx, `UPDATE job SET status = 'Dispatched', nonce = $2, fence = $3, not_before = $4, lease_until = $5 WHERE id = $1`,
			string(j.ID), j.Nonce, j.Fence, micros(now.Add(window)), micros(now)); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// SetJobClient records whom a dispatched job was handed to (S-318).
func (tx *Tx) SetJobClient(ctx context.Context, id pipeline.JobID, client string) error {
	_, err := tx.exec(ctx, `UPDATE job SET client = $2 WHERE id = $1`, string(id), client)
	return err
}

// AcknowledgeJob makes a dispatched job the worker's own (S-307).
func (tx *Tx) AcknowledgeJob(ctx context.Context, id pipeline.JobID) error {
	_, err := tx.exec(ctx, `UPDATE job SET status = 'InProgress', nonce = '' WHERE id = $1`, string(id))
	return err
}

// Lease is the hold of a server on a job, as it was at one moment. Every renewal changes it.
type Lease struct {
	Job          pipeline.JobID
	Fence, Until int64
}

// Leases lists the holds on jobs of the queues, those aside that were let go.
func (tx *Tx) Leases(ctx context.Context, queues []string) ([]Lease, error) {
	names, args := inList(nil, queues)
	return all(ctx, tx, `SELECT id, fence, lease_until FROM job WHERE queue IN `+names+` AND status = 'InProgress' AND node <> '' AND lease_until > 0`, args,
		func(rows *sql.Rows) (l Lease, err error) {
			return l, rows.Scan(&l.Job, &l.Fence, &l.Until)
		})
}

// ClaimJobs hands up to limit jobs of the queues to a server, which holds each as long as it
// renews its lease. Jobs that were let go come again, and those under the lapsed leases
// unless these have been renewed, but not those in busy: the server is still at work on them.
//
// The caller says which leases have lapsed, from having seen them unchanged for long enough:
// two servers' clocks, or one server's before and after it was set, cannot be compared.
func (tx *Tx) ClaimJobs(ctx context.Context, queues []string, node string, limit int, lease time.Duration, busy map[pipeline.JobID]bool, lapsed []Lease) ([]*JobRow, error) {
	now := tx.Now()
	// Each queue is read by itself, the one whose first job has waited longest before the others:
	// together they would have to be sorted, however long they are.
	waiting, err := tx.firstJobs(ctx, queues)
	if err != nil {
		return nil, err
	}
	var jobs []*JobRow
	for _, q := range waiting {
		if len(jobs) == limit {
			break
		}
		some, err := all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE queue = $1 AND query_value = '' AND status IN ('Queued', 'Dispatched')
			AND not_before <= $2 ORDER BY not_before, id LIMIT $3`+tx.skipLocked(), []any{q, micros(now), limit - len(jobs)}, tx.scanJob)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	if jobs, err = tx.withSetBack(ctx, jobs, queues, "", limit); err != nil {
		return nil, err
	}
	if len(jobs) < limit {
		names, args := inList([]any{limit - len(jobs) + len(busy)}, queues)
		free, err := all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE queue IN `+names+isFree+` ORDER BY id LIMIT $1`+tx.skipLocked(), args, tx.scanJob)
		if err != nil {
			return nil, err
		}
		for _, j := range free {
			if len(jobs) < limit && !busy[j.ID] {
				jobs = append(jobs, j)
			}
		}
	}
	for _, l := range lapsed {
		if len(jobs) >= limit || busy[l.Job] {
			continue
		}
		lost, err := all(ctx, tx, `SELECT `+jobColumns+` FROM job WHERE id = $1 AND fence = $2 AND lease_until = $3 AND status = 'InProgress' AND node <> ''`+
			tx.skipLocked(), []any{string(l.Job), l.Fence, l.Until}, tx.scanJob)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, lost...)
	}
	for _, j := range jobs {
		j.Status, j.Node, j.Fence = engine.JobInProgress, node, j.Fence+1
		if _, err := tx.exec(ctx, `UPDATE job SET status = 'InProgress', node = $2, fence = $3, lease_until = $4 WHERE id = $1`,
			string(j.ID), node, j.Fence, micros(now.Add(lease))); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// eachOf writes a SELECT once for each queue, all in one statement. In the text ? is the
// queue's place in the list and $q its name; $1 is at.
func eachOf(queues []string, text string, at time.Time) (string, []any) {
	args, parts := []any{micros(at)}, make([]string, len(queues))
	for i, q := range queues {
		args = append(args, q)
		parts[i] = strings.NewReplacer("?", strconv.Itoa(i), "$q", "$"+strconv.Itoa(i+2)).Replace(text)
	}
	return strings.Join(parts, " UNION ALL "), args
}

// firstJobs gives those of the queues that have jobs to hand out now, the one whose first job
// has waited longest at the head.
func (tx *Tx) firstJobs(ctx context.Context, queues []string) ([]string, error) {
	query, args := eachOf(queues, `SELECT ?, min(not_before) FROM job WHERE queue = $q AND query_value = '' AND status IN ('Queued', 'Dispatched') AND not_before <= $1`, tx.Now())
	type first struct {
		queue int
		at    sql.NullInt64
	}
	list, err := all(ctx, tx, query, args, func(rows *sql.Rows) (f first, err error) { return f, rows.Scan(&f.queue, &f.at) })
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(f first) bool { return !f.at.Valid })
	slices.SortFunc(list, func(a, b first) int { return cmp.Compare(a.at.Int64, b.at.Int64) })
	waiting := make([]string, len(list))
	for i, f := range list {
		waiting[i] = queues[f.queue]
	}
	return waiting, nil
}

// isFree is a job that its server has let go.
const isFree = ` AND status = 'InProgress' AND node <> '' AND lease_until = 0`

// ClaimableJobs says whether ClaimJobs might hand out anything now, beside jobs under lapsed
// leases.
func (tx *Tx) ClaimableJobs(ctx context.Context, queues []string) (bool, error) {
	waiting, err := tx.firstJobs(ctx, queues)
	if err != nil || len(waiting) > 0 {
		return err == nil, err
	}
	if early, err := tx.anySetBack(ctx, queues, ""); early || err != nil {
		return early, err
	}
	names, args := inList(nil, queues)
	var one int
	err = tx.one(ctx, `SELECT 1 FROM job WHERE queue IN `+names+isFree+` LIMIT 1`, args, &one)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// NextJobAt is when a queued job of the queues that is not due yet becomes due; zero if
// there is none.
func (tx *Tx) NextJobAt(ctx context.Context, queues []string) (time.Time, error) {
	query, args := eachOf(queues, `SELECT min(not_before) FROM job WHERE queue = $q AND query_value = '' AND status IN ('Queued', 'Dispatched') AND not_before > $1`, tx.Now())
	times, err := all(ctx, tx, query, args, func(rows *sql.Rows) (at sql.NullInt64, err error) { return at, rows.Scan(&at) })
	next := int64(0)
	for _, at := range times {
		if at.Valid && (next == 0 || at.Int64 < next) {
			next = at.Int64
		}
	}
	return fromMicros(next), err
}

// RenewLeases renews the leases of the jobs a server is at work on, given with their
// fencing numbers, and gives those that are lost (see [Tx.LostLeases]).
func (tx *Tx) RenewLeases(ctx context.Context, node string, jobs map[pipeline.JobID]int64, lease time.Duration) (lost []pipeline.JobID, err error) {
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		n, err := tx.exec(ctx, `UPDATE job SET lease_until = $4 WHERE id = $1 AND status = 'InProgress' AND node = $2 AND fence = $3`,
			string(id), node, jobs[id], micros(tx.Now().Add(lease)))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			lost = append(lost, id)
		}
	}
	return lost, nil
}

// LostLeases gives, of the jobs a server is at work on, those that it does not hold any
// more: they ended, or were handed to another after the lease had lapsed.
func (tx *Tx) LostLeases(ctx context.Context, node string, jobs map[pipeline.JobID]int64) (lost []pipeline.JobID, err error) {
	var ids []string
	for id := range jobs {
		ids = append(ids, string(id))
	}
	names, args := inList([]any{node}, ids)
	held, err := all(ctx, tx, `SELECT id, fence FROM job WHERE node = $1 AND status = 'InProgress' AND id IN `+names, args, func(rows *sql.Rows) (l Lease, err error) {
		return l, rows.Scan(&l.Job, &l.Fence)
	})
	still := map[pipeline.JobID]int64{}
	for _, l := range held {
		still[l.Job] = l.Fence
	}
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		if fence, ok := still[id]; !ok || fence != jobs[id] {
			lost = append(lost, id)
		}
	}
	return lost, err
}

// ReleaseLeases lets the jobs go that a server holds: it ends, and others need not wait.
func (tx *Tx) ReleaseLeases(ctx context.Context, node string) error {
	_, err := tx.exec(ctx, `UPDATE job SET lease_until = 0 WHERE status = 'InProgress' AND node = $1 AND node <> ''`, node)
	return err
}

// LeaveJob has a job that a server holds go on without it: it stays in progress, and nobody takes
// it up, until somebody reports with its id. Nothing happens if the server does not hold it.
func (tx *Tx) LeaveJob(ctx context.Context, id pipeline.JobID, node string, fence int64) error {
	_, err := tx.exec(ctx, `UPDATE job SET node = '', lease_until = 0 WHERE id = $1 AND status = 'InProgress' AND node = $2 AND fence = $3`,
		string(id), node, fence)
	return err
}

// DropLeases lets the jobs of all servers go. It is for the start of the only server
// of a database: whoever held a job then is gone.
func (tx *Tx) DropLeases(ctx context.Context) error {
	_, err := tx.exec(ctx, `UPDATE job SET lease_until = 0 WHERE status = 'InProgress' AND node <> ''`)
	return err
}

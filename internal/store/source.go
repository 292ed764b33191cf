package store

import (
	"context"
	"database/sql"
	"time"

	"penstock/internal/pipeline"
)

// Source is a source action whose resource is watched for changes (S-237).
type Source struct {
	PipelineID string
	Action     string
	// Resource is the ARN of what is watched; Detail is what of it, such as a branch.
	Resource, Detail string
	// Seen is the last revision that started the pipeline, or was taken when it was
	// created or updated. Of a repository that is polled it is a JSON object of all branches
	// and tags.
	Seen string
}

// PutSources replaces the watched sources of a pipeline. Seen survives for an action whose
// resource and detail stay.
func (tx *Tx) PutSources(ctx context.Context, pipelineID string, sources []Source) error {
	old, err := all(ctx, tx, `SELECT pipeline_id, action, resource, detail, seen FROM source WHERE pipeline_id = $1`, []any{pipelineID}, scanSource)
	if err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM source WHERE pipeline_id = $1`, pipelineID); err != nil {
		return err
	}
	for _, s := range sources {
		for _, o := range old {
			if o.Action == s.Action && o.Resource == s.Resource && o.Detail == s.Detail {
				s.Seen = o.Seen
			}
		}
		if err := fits(s.Resource); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `INSERT INTO source (pipeline_id, action, resource, detail, seen) VALUES ($1, $2, $3, $4, $5)`,
			pipelineID, s.Action, s.Resource, s.Detail, s.Seen); err != nil {
			return err
		}
	}
	return nil
}

func scanSource(rows *sql.Rows) (Source, error) {
	var s Source
	return s, rows.Scan(&s.PipelineID, &s.Action, &s.Resource, &s.Detail, &s.Seen)
}

// SourcesOf lists the source actions that watch a resource.
func (tx *Tx) SourcesOf(ctx context.Context, resource string) ([]Source, error) {
	return all(ctx, tx, `SELECT pipeline_id, action, resource, detail, seen FROM source WHERE resource = $1 ORDER BY pipeline_id, action`,
		[]any{resource}, scanSource)
}

// SourcesUnder lists the source actions that watch a resource whose ARN begins with prefix.
func (tx *Tx) SourcesUnder(ctx context.Context, prefix string) ([]Source, error) {
	return all(ctx, tx, `SELECT pipeline_id, action, resource, detail, seen FROM source WHERE resource >= $1 AND resource < $2 ORDER BY resource, pipeline_id, action`,
		[]any{prefix, prefix + "\U0010FFFF"}, scanSource)
}

// SeenAt gives the revision that is recorded of a source action; ErrNotFound if it does not watch
// the same thing any more.
func (tx *Tx) SeenAt(ctx context.Context, s Source) (revision string, err error) {
	return revision, tx.one(ctx, `SELECT seen FROM source WHERE pipeline_id = $1 AND action = $2 AND resource = $3 AND detail = $4`,
		[]any{s.PipelineID, s.Action, s.Resource, s.Detail}, &revision)
}

// SetSeen records the revision a change started the pipeline with, if the action watches the same
// thing still; it says whether the revision is another than before.
func (tx *Tx) SetSeen(ctx context.Context, s Source, revision string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE source SET seen = $5 WHERE pipeline_id = $1 AND action = $2 AND resource = $3 AND detail = $4 AND seen <> $5`,
		s.PipelineID, s.Action, s.Resource, s.Detail, revision)
	return n > 0, err
}

// StartToken is a remembered idempotency token of StartPipelineExecution (S-103).
type StartToken struct {
	Token     string
	Execution pipeline.ExecutionID
	Arguments string
	// At is when it was used first; PutStartToken sets it.
	At time.Time
}

// FindStartToken gives a remembered token; ErrNotFound if there is none.
func (tx *Tx) FindStartToken(ctx context.Context, pipelineID, token string) (StartToken, error) {
	t := StartToken{Token: token}
	var at int64
	err := tx.one(ctx, `SELECT execution_id, arguments, at FROM start_token WHERE pipeline_id = $1 AND token = $2`, []any{pipelineID, token}, &t.Execution, &t.Arguments, &at)
	t.At = fromMicros(at)
	return t, err
}

// PutStartToken remembers a token and forgets those of the pipeline older than keep.
func (tx *Tx) PutStartToken(ctx context.Context, pipelineID string, t StartToken, keep time.Duration) error {
	if _, err := tx.exec(ctx, `DELETE FROM start_token WHERE pipeline_id = $1 AND at < $2`, pipelineID, micros(tx.Now().Add(-keep))); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO start_token (pipeline_id, token, execution_id, arguments, at) VALUES ($1, $2, $3, $4, $5)`,
		pipelineID, t.Token, string(t.Execution), t.Arguments, micros(tx.Now()))
	return err
}

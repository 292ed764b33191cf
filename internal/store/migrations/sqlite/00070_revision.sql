-- +goose Up
-- revisions that a source action was told of or took; a revision may be longer than a key
-- can be, so its digest stands for it
CREATE TABLE action_revision (
	pipeline_id TEXT NOT NULL,
	action TEXT NOT NULL,
	digest TEXT NOT NULL,
	execution_id TEXT NOT NULL,
	start_order BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (pipeline_id, action, digest)
);
CREATE INDEX action_revision_at ON action_revision (pipeline_id, at);

-- +goose Down
DROP TABLE action_revision;

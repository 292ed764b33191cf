-- +goose Up
-- what is removed some rows at a time: an execution that is no longer there, whose runs are, or, with
-- no execution, a pipeline
CREATE TABLE removal (
	pipeline_id TEXT NOT NULL,
	execution_id TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, execution_id)
);

-- +goose Down
DROP TABLE removal;

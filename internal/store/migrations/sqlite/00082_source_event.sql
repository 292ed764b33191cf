-- +goose Up
-- what came of changes in the sources of a pipeline, the last of each
CREATE TABLE source_event (
	pipeline_id TEXT NOT NULL,
	at BIGINT NOT NULL,
	subject TEXT NOT NULL,
	outcome TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, at, subject)
);

-- +goose Down
DROP TABLE source_event;

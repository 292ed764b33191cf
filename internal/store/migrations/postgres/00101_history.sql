-- +goose Up
-- the execution whose artifacts this one has taken over
ALTER TABLE execution ADD COLUMN rollback_target TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE execution SET rollback_target = doc::json->>'rollbackTarget' WHERE doc LIKE '%"rollbackTarget"%' AND doc::json->>'rollbackTarget' IS NOT NULL;
CREATE INDEX execution_rollback_target ON execution (pipeline_id, rollback_target) WHERE rollback_target <> '';
-- artifacts of executions that are history no longer, until they are deleted from their
-- bucket; what was written there in the time between is meant, and nothing else
CREATE TABLE stale_artifact (
	bucket TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	written_from BIGINT NOT NULL,
	written_until BIGINT NOT NULL,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	due BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	PRIMARY KEY (bucket, key, written_from)
);
CREATE INDEX stale_artifact_due ON stale_artifact (due);

-- +goose Down
DROP TABLE stale_artifact;
DROP INDEX execution_rollback_target;
ALTER TABLE execution DROP COLUMN rollback_target;

-- +goose Up
-- work that one server does at a time, and when it is due next
CREATE TABLE chore (
	name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	due BIGINT NOT NULL
);
-- when a job ended; 0 while it has not
ALTER TABLE job ADD COLUMN ended BIGINT NOT NULL DEFAULT 0;
UPDATE job SET ended = not_before WHERE status IN ('Succeeded', 'Failed', 'TimedOut');
CREATE INDEX job_ended ON job (ended) WHERE ended > 0;
-- when a subscription was asked to be confirmed
ALTER TABLE sns_subscription ADD COLUMN asked BIGINT NOT NULL DEFAULT 0;
UPDATE sns_subscription SET asked = COALESCE(extract(epoch FROM (doc::json->>'asked')::timestamptz), 0)::bigint * 1000000;
CREATE INDEX sns_subscription_asked ON sns_subscription (asked) WHERE confirmed = 0;
CREATE INDEX start_token_age ON start_token (at);
CREATE INDEX webhook_delivery_age ON webhook_delivery (at);
DROP INDEX action_revision_at;
CREATE INDEX action_revision_at ON action_revision (at);
CREATE INDEX codebuild_build_age ON codebuild_build (started);

-- +goose Down
DROP INDEX codebuild_build_age;
DROP INDEX action_revision_at;
CREATE INDEX action_revision_at ON action_revision (pipeline_id, at);
DROP INDEX webhook_delivery_age;
DROP INDEX start_token_age;
DROP INDEX sns_subscription_asked;
ALTER TABLE sns_subscription DROP COLUMN asked;
DROP INDEX job_ended;
ALTER TABLE job DROP COLUMN ended;
DROP TABLE chore;

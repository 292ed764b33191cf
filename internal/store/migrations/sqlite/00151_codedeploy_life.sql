-- +goose Up
-- when the target's deployment ended; 0 as long as it has not
ALTER TABLE codedeploy_target ADD COLUMN completed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX codedeploy_target_completed ON codedeploy_target (completed) WHERE completed > 0;

-- +goose Down
DROP INDEX codedeploy_target_completed;
ALTER TABLE codedeploy_target DROP COLUMN completed;

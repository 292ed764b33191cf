-- +goose Up
-- whether a pipeline is set to polling. One whose only such source is of GitHub has no row in source:
-- it counts from its next update on.
ALTER TABLE pipeline ADD COLUMN polled BIGINT NOT NULL DEFAULT 0;
UPDATE pipeline SET polled = 1 WHERE id IN (SELECT pipeline_id FROM source WHERE resource LIKE 'arn:aws:s3:::%' OR resource LIKE 'arn:aws:codecommit:%');
CREATE INDEX pipeline_polled ON pipeline (account, region) WHERE polled = 1;

-- +goose Down
DROP INDEX pipeline_polled;
ALTER TABLE pipeline DROP COLUMN polled;

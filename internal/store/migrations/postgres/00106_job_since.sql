-- +goose Up
-- that no wait began later than now is seen without a look at all that wait
CREATE INDEX job_since ON job (lease_until) WHERE status IN ('Queued', 'Dispatched');

-- +goose Down
DROP INDEX job_since;

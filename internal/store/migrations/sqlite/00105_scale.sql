-- +goose Up
-- what a queue hands out next is found in its order, however long the queue is
DROP INDEX job_claim;
CREATE INDEX job_claim ON job (queue, query_value, not_before, id) WHERE status IN ('Queued', 'Dispatched');
DROP INDEX job_lease;
CREATE INDEX job_lease ON job (lease_until, id) WHERE status = 'InProgress' AND node <> '';
DROP INDEX source_resource;
CREATE INDEX source_resource ON source (resource, pipeline_id, action);
-- what is forgotten after a time is found without a look at all that is remembered
CREATE INDEX start_token_at ON start_token (pipeline_id, at);
CREATE INDEX webhook_delivery_at ON webhook_delivery (hook, at);
CREATE INDEX sns_subscription_place ON sns_subscription (account, region, id);

-- +goose Down
DROP INDEX sns_subscription_place;
DROP INDEX webhook_delivery_at;
DROP INDEX start_token_at;
DROP INDEX source_resource;
CREATE INDEX source_resource ON source (resource);
DROP INDEX job_lease;
CREATE INDEX job_lease ON job (lease_until) WHERE status = 'InProgress' AND node <> '';
DROP INDEX job_claim;
CREATE INDEX job_claim ON job (queue, not_before, id) WHERE status IN ('Queued', 'Dispatched');

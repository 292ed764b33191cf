-- +goose Up
CREATE TABLE webhook (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	token TEXT NOT NULL UNIQUE,
	definition TEXT NOT NULL,
	secret TEXT NOT NULL,
	hook_id TEXT NOT NULL,
	last_triggered BIGINT NOT NULL,
	error_code TEXT NOT NULL,
	error_message TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
-- deliveries that have been acted on, so that none is twice
CREATE TABLE webhook_delivery (
	hook TEXT NOT NULL,
	id TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (hook, id)
);

-- +goose Down
DROP TABLE webhook_delivery;
DROP TABLE webhook;

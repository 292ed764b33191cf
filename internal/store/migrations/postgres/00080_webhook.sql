-- +goose Up
CREATE TABLE webhook (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	token TEXT COLLATE "C" NOT NULL UNIQUE,
	definition TEXT COLLATE "C" NOT NULL,
	secret TEXT COLLATE "C" NOT NULL,
	hook_id TEXT COLLATE "C" NOT NULL,
	last_triggered BIGINT NOT NULL,
	error_code TEXT COLLATE "C" NOT NULL,
	error_message TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);
-- deliveries that have been acted on, so that none is twice
CREATE TABLE webhook_delivery (
	hook TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (hook, id)
);

-- +goose Down
DROP TABLE webhook_delivery;
DROP TABLE webhook;

-- +goose Up
-- who tells an event of the outbox
ALTER TABLE outbox ADD COLUMN source TEXT NOT NULL DEFAULT 'aws.codepipeline';
-- things to be handed to somebody outside, in order within a lane
CREATE TABLE delivery (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	queue TEXT NOT NULL,
	lane TEXT NOT NULL,
	id TEXT NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT NOT NULL,
	UNIQUE (queue, id)
);
CREATE INDEX delivery_lane_head ON delivery (queue, lane, seq);
CREATE TABLE delivery_lane (
	queue TEXT NOT NULL,
	lane TEXT NOT NULL,
	target TEXT NOT NULL,
	due BIGINT NOT NULL,
	held BIGINT NOT NULL,
	fence BIGINT NOT NULL,
	attempts BIGINT NOT NULL,
	pending BIGINT NOT NULL,
	PRIMARY KEY (queue, lane)
);
CREATE INDEX delivery_lane_due ON delivery_lane (queue, due);
CREATE TABLE events_bus (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE events_rule (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	bus TEXT NOT NULL,
	name TEXT NOT NULL,
	next BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, bus, name)
);
CREATE INDEX events_rule_next ON events_rule (next) WHERE next > 0;

-- +goose Down
DROP TABLE events_rule;
DROP TABLE events_bus;
DROP TABLE delivery_lane;
DROP TABLE delivery;
ALTER TABLE outbox DROP COLUMN source;

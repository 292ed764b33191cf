-- +goose Up
-- who tells an event of the outbox
ALTER TABLE outbox ADD COLUMN source TEXT COLLATE "C" NOT NULL DEFAULT 'aws.codepipeline';
-- things to be handed to somebody outside, in order within a lane
CREATE TABLE delivery (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	queue TEXT COLLATE "C" NOT NULL,
	lane TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	UNIQUE (queue, id)
);
CREATE INDEX delivery_lane_head ON delivery (queue, lane, seq);
CREATE TABLE delivery_lane (
	queue TEXT COLLATE "C" NOT NULL,
	lane TEXT COLLATE "C" NOT NULL,
	target TEXT COLLATE "C" NOT NULL,
	due BIGINT NOT NULL,
	held BIGINT NOT NULL,
	fence BIGINT NOT NULL,
	attempts BIGINT NOT NULL,
	pending BIGINT NOT NULL,
	PRIMARY KEY (queue, lane)
);
CREATE INDEX delivery_lane_due ON delivery_lane (queue, due);
CREATE TABLE events_bus (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE events_rule (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	bus TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	next BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, bus, name)
);
CREATE INDEX events_rule_next ON events_rule (next) WHERE next > 0;

-- +goose Down
DROP TABLE events_rule;
DROP TABLE events_bus;
DROP TABLE delivery_lane;
DROP TABLE delivery;
ALTER TABLE outbox DROP COLUMN source;

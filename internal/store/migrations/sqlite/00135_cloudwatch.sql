-- +goose Up
-- id is a hash of all that tells metrics apart; seen is the newest minute it has data of
CREATE TABLE metric (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	namespace TEXT NOT NULL,
	name TEXT NOT NULL,
	dimensions TEXT NOT NULL,
	seen BIGINT NOT NULL
);
CREATE INDEX metric_listed ON metric (account, region, namespace, name, id);
CREATE INDEX metric_seen ON metric (seen);
-- what a metric had in a minute since 1970
CREATE TABLE metric_minute (
	metric TEXT NOT NULL,
	minute BIGINT NOT NULL,
	unit TEXT NOT NULL,
	samples DOUBLE PRECISION NOT NULL,
	total DOUBLE PRECISION NOT NULL,
	least DOUBLE PRECISION NOT NULL,
	most DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (metric, minute, unit)
);
CREATE INDEX metric_minute_age ON metric_minute (minute);
-- next is when the alarm is looked at again
CREATE TABLE metric_alarm (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	metric TEXT NOT NULL,
	state TEXT NOT NULL,
	next BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE INDEX metric_alarm_next ON metric_alarm (next);
CREATE INDEX metric_alarm_metric ON metric_alarm (metric);

-- +goose Down
DROP TABLE metric_alarm;
DROP TABLE metric_minute;
DROP TABLE metric;

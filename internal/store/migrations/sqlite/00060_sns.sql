-- +goose Up
CREATE TABLE sns_topic (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE sns_subscription (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	topic TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	confirmed BIGINT NOT NULL,
	doc TEXT NOT NULL
);
CREATE INDEX sns_subscription_topic ON sns_subscription (account, region, topic, id);

-- +goose Down
DROP TABLE sns_subscription;
DROP TABLE sns_topic;

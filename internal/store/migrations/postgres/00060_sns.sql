-- +goose Up
CREATE TABLE sns_topic (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE sns_subscription (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	topic TEXT COLLATE "C" NOT NULL,
	endpoint TEXT COLLATE "C" NOT NULL,
	confirmed BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sns_subscription_topic ON sns_subscription (account, region, topic, id);

-- +goose Down
DROP TABLE sns_subscription;
DROP TABLE sns_topic;

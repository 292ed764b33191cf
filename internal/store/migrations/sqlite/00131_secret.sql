-- +goose Up
-- deleted is when the secret ends, 0 if nobody has deleted it
CREATE TABLE secret (
	arn TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	deleted BIGINT NOT NULL,
	doc TEXT NOT NULL,
	UNIQUE (account, region, name)
);
CREATE INDEX secret_deleted ON secret (deleted) WHERE deleted > 0;
-- sealed is the value, encrypted with the master key
CREATE TABLE secret_version (
	arn TEXT NOT NULL,
	id TEXT NOT NULL,
	created BIGINT NOT NULL,
	kind TEXT NOT NULL,
	sealed TEXT NOT NULL,
	PRIMARY KEY (arn, id)
);
CREATE INDEX secret_version_age ON secret_version (arn, created, id);
CREATE TABLE secret_stage (
	arn TEXT NOT NULL,
	stage TEXT NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (arn, stage)
);

-- +goose Down
DROP TABLE secret_stage;
DROP TABLE secret_version;
DROP TABLE secret;

-- +goose Up
-- deleted is when the secret ends, 0 if nobody has deleted it
CREATE TABLE secret (
	arn TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	deleted BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	UNIQUE (account, region, name)
);
CREATE INDEX secret_deleted ON secret (deleted) WHERE deleted > 0;
-- sealed is the value, encrypted with the master key
CREATE TABLE secret_version (
	arn TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	sealed TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (arn, id)
);
CREATE INDEX secret_version_age ON secret_version (arn, created, id);
CREATE TABLE secret_stage (
	arn TEXT COLLATE "C" NOT NULL,
	stage TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (arn, stage)
);

-- +goose Down
DROP TABLE secret_stage;
DROP TABLE secret_version;
DROP TABLE secret;

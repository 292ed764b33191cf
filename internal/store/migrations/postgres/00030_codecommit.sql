-- +goose Up
CREATE TABLE codecommit_repository (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	default_branch TEXT COLLATE "C" NOT NULL,
	kms_key TEXT COLLATE "C" NOT NULL,
	tags TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	modified BIGINT NOT NULL,
	UNIQUE (account, region, name)
);
CREATE INDEX codecommit_repository_name ON codecommit_repository (name);
-- what has been told of each branch; git knows where it is
CREATE TABLE codecommit_head (
	repository_id TEXT COLLATE "C" NOT NULL,
	ref TEXT COLLATE "C" NOT NULL,
	commit_id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (repository_id, ref)
);

-- +goose Up
CREATE TABLE codecommit_repository (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	default_branch TEXT NOT NULL,
	kms_key TEXT NOT NULL,
	tags TEXT NOT NULL,
	created BIGINT NOT NULL,
	modified BIGINT NOT NULL,
	UNIQUE (account, region, name)
);
CREATE INDEX codecommit_repository_name ON codecommit_repository (name);
-- what has been told of each branch; git knows where it is
CREATE TABLE codecommit_head (
	repository_id TEXT NOT NULL,
	ref TEXT NOT NULL,
	commit_id TEXT NOT NULL,
	PRIMARY KEY (repository_id, ref)
);

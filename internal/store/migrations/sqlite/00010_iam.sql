-- +goose Up
CREATE TABLE account (
	id TEXT NOT NULL PRIMARY KEY,
	created BIGINT NOT NULL
);
-- keys that only the server knows, such as the one that seals session tokens
CREATE TABLE server_secret (
	name TEXT NOT NULL PRIMARY KEY,
	secret BLOB NOT NULL
);
-- fold is the name in lower case: names of IAM are unique without regard to case
CREATE TABLE iam_user (
	account TEXT NOT NULL,
	fold TEXT NOT NULL,
	name TEXT NOT NULL,
	path TEXT NOT NULL,
	id TEXT NOT NULL,
	tags TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (account, fold)
);
CREATE TABLE access_key (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	user_fold TEXT NOT NULL,
	secret TEXT NOT NULL,
	active BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX access_key_user ON access_key (account, user_fold);
CREATE TABLE iam_role (
	account TEXT NOT NULL,
	fold TEXT NOT NULL,
	name TEXT NOT NULL,
	path TEXT NOT NULL,
	id TEXT NOT NULL,
	description TEXT NOT NULL,
	trust TEXT NOT NULL,
	max_session BIGINT NOT NULL,
	tags TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (account, fold)
);
-- policies written into a user or role; holder is 'user' or 'role'
CREATE TABLE iam_inline (
	account TEXT NOT NULL,
	holder TEXT NOT NULL,
	holder_fold TEXT NOT NULL,
	name TEXT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (account, holder, holder_fold, name)
);
CREATE TABLE iam_policy (
	account TEXT NOT NULL,
	fold TEXT NOT NULL,
	name TEXT NOT NULL,
	path TEXT NOT NULL,
	arn TEXT NOT NULL,
	id TEXT NOT NULL,
	description TEXT NOT NULL,
	default_version BIGINT NOT NULL,
	last_version BIGINT NOT NULL,
	tags TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	PRIMARY KEY (account, fold),
	UNIQUE (arn)
);
CREATE TABLE iam_policy_version (
	arn TEXT NOT NULL,
	version BIGINT NOT NULL,
	document TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (arn, version)
);
CREATE TABLE iam_attachment (
	account TEXT NOT NULL,
	holder TEXT NOT NULL,
	holder_fold TEXT NOT NULL,
	arn TEXT NOT NULL,
	PRIMARY KEY (account, holder, holder_fold, arn)
);
CREATE INDEX iam_attachment_policy ON iam_attachment (account, arn);

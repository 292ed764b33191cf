-- +goose Up
-- every text is ordered by its bytes: pages must be cut alike on every server
CREATE TABLE account (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	created BIGINT NOT NULL
);
-- keys that only the server knows, such as the one that seals session tokens
CREATE TABLE server_secret (
	name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	secret BYTEA NOT NULL
);
-- fold is the name in lower case: names of IAM are unique without regard to case
CREATE TABLE iam_user (
	account TEXT COLLATE "C" NOT NULL,
	fold TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	path TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	tags TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (account, fold)
);
CREATE TABLE access_key (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	user_fold TEXT COLLATE "C" NOT NULL,
	secret TEXT COLLATE "C" NOT NULL,
	active BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX access_key_user ON access_key (account, user_fold);
CREATE TABLE iam_role (
	account TEXT COLLATE "C" NOT NULL,
	fold TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	path TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	trust TEXT COLLATE "C" NOT NULL,
	max_session BIGINT NOT NULL,
	tags TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (account, fold)
);
-- policies written into a user or role; holder is 'user' or 'role'
CREATE TABLE iam_inline (
	account TEXT COLLATE "C" NOT NULL,
	holder TEXT COLLATE "C" NOT NULL,
	holder_fold TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	document TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, holder, holder_fold, name)
);
CREATE TABLE iam_policy (
	account TEXT COLLATE "C" NOT NULL,
	fold TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	path TEXT COLLATE "C" NOT NULL,
	arn TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	default_version BIGINT NOT NULL,
	last_version BIGINT NOT NULL,
	tags TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	PRIMARY KEY (account, fold),
	UNIQUE (arn)
);
CREATE TABLE iam_policy_version (
	arn TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	document TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (arn, version)
);
CREATE TABLE iam_attachment (
	account TEXT COLLATE "C" NOT NULL,
	holder TEXT COLLATE "C" NOT NULL,
	holder_fold TEXT COLLATE "C" NOT NULL,
	arn TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, holder, holder_fold, arn)
);
CREATE INDEX iam_attachment_policy ON iam_attachment (account, arn);

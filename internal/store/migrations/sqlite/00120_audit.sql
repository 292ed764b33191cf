-- +goose Up
-- what was done, by whom and from where; seq and hash are empty until a seal is over it
CREATE TABLE audit_record (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	at BIGINT NOT NULL,
	source TEXT NOT NULL,
	name TEXT NOT NULL,
	username TEXT NOT NULL,
	access_key TEXT NOT NULL,
	resource TEXT NOT NULL,
	read_only INTEGER NOT NULL,
	under_way INTEGER NOT NULL,
	seq BIGINT,
	hash TEXT,
	doc TEXT NOT NULL
);
CREATE UNIQUE INDEX audit_record_seq ON audit_record (account, seq);
CREATE INDEX audit_record_open ON audit_record (account, at) WHERE seq IS NULL;
CREATE INDEX audit_record_at ON audit_record (account, region, at, id);
CREATE INDEX audit_record_resource ON audit_record (account, region, resource, at, id);
-- one row for each account: the end of its chain, and the lock under which it grows
CREATE TABLE audit_head (
	account TEXT NOT NULL PRIMARY KEY,
	seq BIGINT NOT NULL,
	hash TEXT NOT NULL
);
CREATE TABLE audit_seal (
	account TEXT NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	prev TEXT NOT NULL,
	hash TEXT NOT NULL,
	at BIGINT NOT NULL,
	public_key TEXT NOT NULL,
	signature TEXT NOT NULL,
	PRIMARY KEY (account, last)
);

-- +goose Down
DROP TABLE audit_seal;
DROP TABLE audit_head;
DROP TABLE audit_record;

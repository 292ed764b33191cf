-- +goose Up
-- what was done, by whom and from where; seq and hash are empty until a seal is over it
CREATE TABLE audit_record (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	username TEXT COLLATE "C" NOT NULL,
	access_key TEXT COLLATE "C" NOT NULL,
	resource TEXT COLLATE "C" NOT NULL,
	read_only SMALLINT NOT NULL,
	under_way SMALLINT NOT NULL,
	seq BIGINT,
	hash TEXT COLLATE "C",
	doc TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX audit_record_seq ON audit_record (account, seq);
CREATE INDEX audit_record_open ON audit_record (account, at) WHERE seq IS NULL;
CREATE INDEX audit_record_at ON audit_record (account, region, at, id);
CREATE INDEX audit_record_resource ON audit_record (account, region, resource, at, id);
-- one row for each account: the end of its chain, and the lock under which it grows
CREATE TABLE audit_head (
	account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	seq BIGINT NOT NULL,
	hash TEXT COLLATE "C" NOT NULL
);
CREATE TABLE audit_seal (
	account TEXT COLLATE "C" NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	prev TEXT COLLATE "C" NOT NULL,
	hash TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	public_key TEXT COLLATE "C" NOT NULL,
	signature TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, last)
);

-- +goose Down
DROP TABLE audit_seal;
DROP TABLE audit_head;
DROP TABLE audit_record;

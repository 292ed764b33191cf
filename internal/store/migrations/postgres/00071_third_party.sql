-- +goose Up
-- pairs of a name and a password by which a service knows a user; only a digest is kept
CREATE TABLE service_credential (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	user_fold TEXT COLLATE "C" NOT NULL,
	user_name TEXT COLLATE "C" NOT NULL,
	service TEXT COLLATE "C" NOT NULL,
	client TEXT COLLATE "C" NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	active BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX service_credential_user ON service_credential (account, user_fold, id);
CREATE INDEX service_credential_client ON service_credential (account, client);
-- action types that others than their users made
CREATE TABLE action_type (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	owner TEXT COLLATE "C" NOT NULL,
	category TEXT COLLATE "C" NOT NULL,
	provider TEXT COLLATE "C" NOT NULL,
	version TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, owner, category, provider, version)
);
-- the client that was handed a job of a third party
ALTER TABLE job ADD COLUMN client TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE job DROP COLUMN client;
DROP TABLE action_type;
DROP TABLE service_credential;

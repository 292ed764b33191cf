-- +goose Up
-- pairs of a name and a password by which a service knows a user; only a digest is kept
CREATE TABLE service_credential (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	user_fold TEXT NOT NULL,
	user_name TEXT NOT NULL,
	service TEXT NOT NULL,
	client TEXT NOT NULL,
	digest TEXT NOT NULL,
	active BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX service_credential_user ON service_credential (account, user_fold, id);
CREATE INDEX service_credential_client ON service_credential (account, client);
-- action types that others than their users made
CREATE TABLE action_type (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	owner TEXT NOT NULL,
	category TEXT NOT NULL,
	provider TEXT NOT NULL,
	version TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, owner, category, provider, version)
);
-- the client that was handed a job of a third party
ALTER TABLE job ADD COLUMN client TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE job DROP COLUMN client;
DROP TABLE action_type;
DROP TABLE service_credential;

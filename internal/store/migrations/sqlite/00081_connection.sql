-- +goose Up
CREATE TABLE connection (
	arn TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	provider_type TEXT NOT NULL,
	host_arn TEXT NOT NULL,
	status TEXT NOT NULL,
	git_url TEXT NOT NULL,
	username TEXT NOT NULL,
	token TEXT NOT NULL,
	hook TEXT NOT NULL UNIQUE,
	hook_secret TEXT NOT NULL
);
CREATE INDEX connection_place ON connection (account, region, arn);
CREATE TABLE connection_host (
	arn TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	provider_type TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	vpc TEXT NOT NULL,
	status TEXT NOT NULL
);
CREATE INDEX connection_host_place ON connection_host (account, region, arn);

-- +goose Down
DROP TABLE connection_host;
DROP TABLE connection;

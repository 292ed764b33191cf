-- +goose Up
CREATE TABLE connection (
	arn TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	provider_type TEXT COLLATE "C" NOT NULL,
	host_arn TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	git_url TEXT COLLATE "C" NOT NULL,
	username TEXT COLLATE "C" NOT NULL,
	token TEXT COLLATE "C" NOT NULL,
	hook TEXT COLLATE "C" NOT NULL UNIQUE,
	hook_secret TEXT COLLATE "C" NOT NULL
);
CREATE INDEX connection_place ON connection (account, region, arn);
CREATE TABLE connection_host (
	arn TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	provider_type TEXT COLLATE "C" NOT NULL,
	endpoint TEXT COLLATE "C" NOT NULL,
	vpc TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL
);
CREATE INDEX connection_host_place ON connection_host (account, region, arn);

-- +goose Down
DROP TABLE connection_host;
DROP TABLE connection;

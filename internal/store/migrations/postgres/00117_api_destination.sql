-- +goose Up
-- sealed is how requests are authorised, encrypted with the master key
CREATE TABLE events_connection (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	sealed TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE events_destination (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	connection TEXT COLLATE "C" NOT NULL,
	connection_id TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);

-- +goose Down
DROP TABLE events_destination;
DROP TABLE events_connection;

-- +goose Up
-- sealed is how requests are authorised, encrypted with the master key
CREATE TABLE events_connection (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	id TEXT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	doc TEXT NOT NULL,
	sealed TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE events_destination (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	id TEXT NOT NULL,
	connection TEXT NOT NULL,
	connection_id TEXT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);

-- +goose Down
DROP TABLE events_destination;
DROP TABLE events_connection;

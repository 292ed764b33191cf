-- +goose Up
-- version is the newest one, parent the level above the name
CREATE TABLE parameter (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	parent TEXT NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE INDEX parameter_level ON parameter (account, region, parent, name);
-- sealed is the value, encrypted with the master key
CREATE TABLE parameter_version (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	type TEXT NOT NULL,
	doc TEXT NOT NULL,
	sealed TEXT NOT NULL,
	PRIMARY KEY (account, region, name, version)
);

-- +goose Down
DROP TABLE parameter_version;
DROP TABLE parameter;

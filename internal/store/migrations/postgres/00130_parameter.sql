-- +goose Up
-- version is the newest one, parent the level above the name
CREATE TABLE parameter (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	parent TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE INDEX parameter_level ON parameter (account, region, parent, name);
-- sealed is the value, encrypted with the master key
CREATE TABLE parameter_version (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	created BIGINT NOT NULL,
	type TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	sealed TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name, version)
);

-- +goose Down
DROP TABLE parameter_version;
DROP TABLE parameter;

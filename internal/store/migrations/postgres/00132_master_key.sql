-- +goose Up
-- the one row names the master key with which secrets are sealed
CREATE TABLE master_key (
	one BIGINT NOT NULL PRIMARY KEY,
	id TEXT COLLATE "C" NOT NULL
);

-- +goose Down
DROP TABLE master_key;

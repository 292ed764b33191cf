-- +goose Up
-- the key with which every secret is known to be sealed, empty if some may stand in clear
ALTER TABLE master_key ADD COLUMN sealed TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE master_key DROP COLUMN sealed;

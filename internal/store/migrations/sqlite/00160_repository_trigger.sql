-- +goose Up
-- whom a repository tells of what is pushed: the room's, with the id of the configuration
ALTER TABLE codecommit_repository ADD COLUMN triggers TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE codecommit_repository DROP COLUMN triggers;

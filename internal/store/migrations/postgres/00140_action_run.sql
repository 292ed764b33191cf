-- +goose Up
ALTER TABLE action_execution ADD COLUMN id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE action_execution SET id = doc::json->>'id';
CREATE INDEX action_execution_id ON action_execution (id);

-- +goose Down
DROP INDEX action_execution_id;
ALTER TABLE action_execution DROP COLUMN id;

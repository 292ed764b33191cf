-- +goose Up
-- who brought a commit, as the tip of a push or through the API
CREATE TABLE codecommit_pusher (
	repository_id TEXT COLLATE "C" NOT NULL,
	commit_id TEXT COLLATE "C" NOT NULL,
	principal TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (repository_id, commit_id)
);

-- +goose Down
DROP TABLE codecommit_pusher;

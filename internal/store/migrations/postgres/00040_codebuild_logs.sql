-- +goose Up
CREATE TABLE codebuild_project (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	modified BIGINT NOT NULL,
	builds BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE TABLE codebuild_build (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	project TEXT COLLATE "C" NOT NULL,
	started BIGINT NOT NULL,
	complete BIGINT NOT NULL,
	node TEXT COLLATE "C" NOT NULL,
	token TEXT COLLATE "C",
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, id)
);
CREATE UNIQUE INDEX codebuild_build_token ON codebuild_build (account, region, project, token) WHERE token IS NOT NULL;
CREATE INDEX codebuild_build_started ON codebuild_build (account, region, started, id);
CREATE INDEX codebuild_build_project ON codebuild_build (account, region, project, started, id);
CREATE INDEX codebuild_build_open ON codebuild_build (node) WHERE complete = 0;
CREATE TABLE log_group (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	retention BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	UNIQUE (account, region, name)
);
CREATE TABLE log_stream (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	group_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	-- milliseconds since 1970, as the events have them; -1 before the first event
	first_event BIGINT NOT NULL,
	last_event BIGINT NOT NULL,
	last_ingestion BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	batches BIGINT NOT NULL,
	UNIQUE (group_id, name)
);
CREATE INDEX log_stream_recent ON log_stream (group_id, last_event, name);
CREATE TABLE log_batch (
	stream_id TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	group_id TEXT COLLATE "C" NOT NULL,
	first_event BIGINT NOT NULL,
	last_event BIGINT NOT NULL,
	ingested BIGINT NOT NULL,
	events TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (stream_id, number)
);
CREATE INDEX log_batch_time ON log_batch (group_id, first_event, stream_id, number);

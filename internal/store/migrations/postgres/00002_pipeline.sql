-- +goose Up
CREATE TABLE pipeline (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	pipeline_type TEXT COLLATE "C" NOT NULL,
	execution_mode TEXT COLLATE "C" NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	stamp TEXT COLLATE "C" NOT NULL,
	state TEXT COLLATE "C" NOT NULL,
	UNIQUE (account, region, name)
);
CREATE TABLE pipeline_version (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	declaration TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (pipeline_id, version)
);
-- pipelines to start when a source changed
CREATE TABLE source (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL,
	resource TEXT COLLATE "C" NOT NULL,
	detail TEXT COLLATE "C" NOT NULL,
	seen TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (pipeline_id, action)
);
CREATE INDEX source_resource ON source (resource);
CREATE TABLE execution (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	start_order BIGINT NOT NULL,
	version BIGINT NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	live BIGINT NOT NULL,
	started BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (pipeline_id, id)
);
CREATE INDEX execution_order ON execution (pipeline_id, start_order);
CREATE INDEX execution_live ON execution (pipeline_id) WHERE live = 1;
CREATE TABLE stage_success (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	stage TEXT COLLATE "C" NOT NULL,
	start_order BIGINT NOT NULL,
	PRIMARY KEY (pipeline_id, stage, start_order)
);
CREATE TABLE action_execution (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	execution_id TEXT COLLATE "C" NOT NULL,
	started BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (pipeline_id, number)
);
CREATE INDEX action_execution_execution ON action_execution (pipeline_id, execution_id, number);
CREATE TABLE job (
	id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	pipeline_id TEXT COLLATE "C" NOT NULL,
	execution_id TEXT COLLATE "C" NOT NULL,
	run_id TEXT COLLATE "C" NOT NULL,
	queue TEXT COLLATE "C" NOT NULL,
	query_value TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	not_before BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	node TEXT COLLATE "C" NOT NULL,
	fence BIGINT NOT NULL,
	nonce TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL
);
CREATE INDEX job_claim ON job (queue, not_before, id) WHERE status IN ('Queued', 'Dispatched');
CREATE INDEX job_lease ON job (lease_until) WHERE status = 'InProgress' AND node <> '';
CREATE INDEX job_pipeline ON job (pipeline_id);
CREATE TABLE timer (
	run_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	pipeline_id TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL
);
CREATE INDEX timer_at ON timer (at);
-- There are few: a pipeline's are found without an index, and every action sets one.
CREATE TABLE outbox (
	seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	resource TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	detail_type TEXT COLLATE "C" NOT NULL,
	detail TEXT COLLATE "C" NOT NULL
);
CREATE TABLE start_token (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	token TEXT COLLATE "C" NOT NULL,
	execution_id TEXT COLLATE "C" NOT NULL,
	arguments TEXT COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (pipeline_id, token)
);
CREATE TABLE custom_action_type (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	category TEXT COLLATE "C" NOT NULL,
	provider TEXT COLLATE "C" NOT NULL,
	version TEXT COLLATE "C" NOT NULL,
	deleted BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, category, provider, version)
);
CREATE TABLE tag (
	resource TEXT COLLATE "C" NOT NULL,
	key TEXT COLLATE "C" NOT NULL,
	value TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (resource, key)
);

-- +goose Down
DROP TABLE tag;
DROP TABLE custom_action_type;
DROP TABLE start_token;
DROP TABLE outbox;
DROP TABLE timer;
DROP TABLE job;
DROP TABLE action_execution;
DROP TABLE stage_success;
DROP TABLE execution;
DROP TABLE source;
DROP TABLE pipeline_version;
DROP TABLE pipeline;

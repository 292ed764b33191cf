-- +goose Up
CREATE TABLE pipeline (
	id TEXT NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	pipeline_type TEXT NOT NULL,
	execution_mode TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	stamp TEXT NOT NULL,
	state TEXT NOT NULL,
	UNIQUE (account, region, name)
);
CREATE TABLE pipeline_version (
	pipeline_id TEXT NOT NULL,
	version BIGINT NOT NULL,
	declaration TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, version)
);
-- pipelines to start when a source changed
CREATE TABLE source (
	pipeline_id TEXT NOT NULL,
	action TEXT NOT NULL,
	resource TEXT NOT NULL,
	detail TEXT NOT NULL,
	seen TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, action)
);
CREATE INDEX source_resource ON source (resource);
CREATE TABLE execution (
	pipeline_id TEXT NOT NULL,
	id TEXT NOT NULL,
	start_order BIGINT NOT NULL,
	version BIGINT NOT NULL,
	status TEXT NOT NULL,
	live BIGINT NOT NULL,
	started BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, id)
);
CREATE INDEX execution_order ON execution (pipeline_id, start_order);
CREATE INDEX execution_live ON execution (pipeline_id) WHERE live = 1;
CREATE TABLE stage_success (
	pipeline_id TEXT NOT NULL,
	stage TEXT NOT NULL,
	start_order BIGINT NOT NULL,
	PRIMARY KEY (pipeline_id, stage, start_order)
);
CREATE TABLE action_execution (
	pipeline_id TEXT NOT NULL,
	number BIGINT NOT NULL,
	execution_id TEXT NOT NULL,
	started BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (pipeline_id, number)
);
CREATE INDEX action_execution_execution ON action_execution (pipeline_id, execution_id, number);
CREATE TABLE job (
	id TEXT NOT NULL PRIMARY KEY,
	pipeline_id TEXT NOT NULL,
	execution_id TEXT NOT NULL,
	run_id TEXT NOT NULL,
	queue TEXT NOT NULL,
	query_value TEXT NOT NULL,
	status TEXT NOT NULL,
	not_before BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	node TEXT NOT NULL,
	fence BIGINT NOT NULL,
	nonce TEXT NOT NULL,
	doc TEXT NOT NULL
);
CREATE INDEX job_claim ON job (queue, not_before, id) WHERE status IN ('Queued', 'Dispatched');
CREATE INDEX job_lease ON job (lease_until) WHERE status = 'InProgress' AND node <> '';
CREATE INDEX job_pipeline ON job (pipeline_id);
CREATE TABLE timer (
	run_id TEXT NOT NULL PRIMARY KEY,
	pipeline_id TEXT NOT NULL,
	at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX timer_at ON timer (at);
-- There are few: a pipeline's are found without an index, and every action sets one.
CREATE TABLE outbox (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	resource TEXT NOT NULL,
	at BIGINT NOT NULL,
	detail_type TEXT NOT NULL,
	detail TEXT NOT NULL
);
CREATE TABLE start_token (
	pipeline_id TEXT NOT NULL,
	token TEXT NOT NULL,
	execution_id TEXT NOT NULL,
	arguments TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (pipeline_id, token)
);
CREATE TABLE custom_action_type (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	category TEXT NOT NULL,
	provider TEXT NOT NULL,
	version TEXT NOT NULL,
	deleted BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, category, provider, version)
);
CREATE TABLE tag (
	resource TEXT NOT NULL,
	key TEXT NOT NULL,
	value TEXT NOT NULL,
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

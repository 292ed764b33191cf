-- +goose Up
CREATE TABLE rule_execution (
	pipeline_id TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	execution_id TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	started BIGINT NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (pipeline_id, id)
);
CREATE INDEX rule_execution_number ON rule_execution (pipeline_id, number);
CREATE INDEX rule_execution_execution ON rule_execution (pipeline_id, execution_id, number);

-- +goose Down
DROP TABLE rule_execution;

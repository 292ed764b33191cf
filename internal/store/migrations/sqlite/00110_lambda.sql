-- +goose Up
CREATE TABLE lambda_function (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	number BIGINT NOT NULL,
	code TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name, number)
);
CREATE INDEX lambda_function_code ON lambda_function (code);
CREATE TABLE lambda_alias (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	function TEXT NOT NULL,
	name TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, function, name)
);

-- +goose Down
DROP TABLE lambda_alias;
DROP TABLE lambda_function;

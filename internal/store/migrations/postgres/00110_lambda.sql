-- +goose Up
CREATE TABLE lambda_function (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	code TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, name, number)
);
CREATE INDEX lambda_function_code ON lambda_function (code);
CREATE TABLE lambda_alias (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	function TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, function, name)
);

-- +goose Down
DROP TABLE lambda_alias;
DROP TABLE lambda_function;

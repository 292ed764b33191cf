-- +goose Up
-- rules of CodeStar Notifications: which events of a resource are told to which targets
CREATE TABLE notification_rule (
	account TEXT COLLATE "C" NOT NULL,
	region TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	resource TEXT COLLATE "C" NOT NULL,
	doc TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (account, region, id)
);
CREATE UNIQUE INDEX notification_rule_name ON notification_rule (account, region, name);
CREATE INDEX notification_rule_resource ON notification_rule (account, region, resource);

-- +goose Down
DROP TABLE notification_rule;

-- +goose Up
-- rules of CodeStar Notifications: which events of a resource are told to which targets
CREATE TABLE notification_rule (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	resource TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, id)
);
CREATE UNIQUE INDEX notification_rule_name ON notification_rule (account, region, name);
CREATE INDEX notification_rule_resource ON notification_rule (account, region, resource);

-- +goose Down
DROP TABLE notification_rule;

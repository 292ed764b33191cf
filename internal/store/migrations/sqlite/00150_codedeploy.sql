-- +goose Up
CREATE TABLE codedeploy_application (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	id TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (account, region, name)
);
-- application is the id of its application, config that of its configuration if somebody has
-- made that; running is the deployment in progress, or empty
CREATE TABLE codedeploy_group (
	id TEXT NOT NULL PRIMARY KEY,
	application TEXT NOT NULL,
	name TEXT NOT NULL,
	config TEXT NOT NULL,
	running TEXT NOT NULL,
	doc TEXT NOT NULL,
	UNIQUE (application, name)
);
CREATE INDEX codedeploy_group_config ON codedeploy_group (config);
-- digest is that of the revision's location; a time of 0 is none
CREATE TABLE codedeploy_revision (
	application TEXT NOT NULL,
	digest TEXT NOT NULL,
	registered BIGINT NOT NULL,
	first_used BIGINT NOT NULL,
	last_used BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (application, digest)
);
CREATE INDEX codedeploy_revision_registered ON codedeploy_revision (application, registered, digest);
CREATE INDEX codedeploy_revision_first_used ON codedeploy_revision (application, first_used, digest);
CREATE INDEX codedeploy_revision_last_used ON codedeploy_revision (application, last_used, digest);
CREATE TABLE codedeploy_config (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	id TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
-- arn is that of the IAM user or session that the host calls with; empty when deregistered
CREATE TABLE codedeploy_instance (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	name TEXT NOT NULL,
	arn TEXT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, name)
);
CREATE UNIQUE INDEX codedeploy_instance_arn ON codedeploy_instance (account, region, arn) WHERE arn <> '';
-- how the last deployment of a group to an instance ended, and when one succeeded last
CREATE TABLE codedeploy_health (
	deployment_group TEXT NOT NULL,
	instance TEXT NOT NULL,
	healthy BIGINT NOT NULL,
	deployed BIGINT NOT NULL,
	PRIMARY KEY (deployment_group, instance)
);
CREATE TABLE codedeploy_deployment (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	id TEXT NOT NULL,
	deployment_group TEXT NOT NULL,
	status TEXT NOT NULL,
	created BIGINT NOT NULL,
	completed BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, id)
);
CREATE INDEX codedeploy_deployment_listed ON codedeploy_deployment (account, region, created, id);
CREATE INDEX codedeploy_deployment_group ON codedeploy_deployment (deployment_group, created, id);
CREATE INDEX codedeploy_deployment_completed ON codedeploy_deployment (completed) WHERE completed > 0;
-- offer is when the instance may be given its command, due when something has to be done about
-- a silent one; 0 is never
CREATE TABLE codedeploy_target (
	account TEXT NOT NULL,
	region TEXT NOT NULL,
	deployment TEXT NOT NULL,
	instance TEXT NOT NULL,
	status TEXT NOT NULL,
	offer BIGINT NOT NULL,
	due BIGINT NOT NULL,
	doc TEXT NOT NULL,
	PRIMARY KEY (account, region, deployment, instance)
);
CREATE INDEX codedeploy_target_offered ON codedeploy_target (account, region, instance, offer) WHERE offer > 0;
CREATE INDEX codedeploy_target_offer ON codedeploy_target (offer) WHERE offer > 0;
CREATE INDEX codedeploy_target_due ON codedeploy_target (due) WHERE due > 0;

-- +goose Down
DROP TABLE codedeploy_target;
DROP TABLE codedeploy_deployment;
DROP TABLE codedeploy_health;
DROP TABLE codedeploy_instance;
DROP TABLE codedeploy_config;
DROP TABLE codedeploy_revision;
DROP TABLE codedeploy_group;
DROP TABLE codedeploy_application;

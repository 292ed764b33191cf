package codedeploy

// States of deployments, targets and lifecycle events (E.4).
const (
	pending    = "Pending"
	inProgress = "InProgress"
	succeeded  = "Succeeded"
	failed     = "Failed"
	skipped    = "Skipped"
	stopped    = "Stopped"
)

// Error codes of deployments (E.4).
const (
	agentIssue        = "AGENT_ISSUE"
	healthConstraints = "HEALTH_CONSTRAINTS"
	healthImpossible  = "HEALTH_CONSTRAINTS_INVALID"
	manualStop        = "MANUAL_STOP"
	noInstances       = "NO_INSTANCES"
	tooLong           = "TIMEOUT"
)

// Who makes deployments, and after what they are rolled back (E.2).
const (
	userCreator     = "user"
	rollbackCreator = "codeDeployRollback"
	onFailure       = "DEPLOYMENT_FAILURE"
	onStop          = "DEPLOYMENT_STOP_ON_REQUEST"
)

// Minimums of healthy instances, and the configuration that counts if none is named (E.1).
const (
	hostCount       = "HOST_COUNT"
	fleetPercent    = "FLEET_PERCENT"
	mostConcurrency = "MOST_CONCURRENCY"
	oneAtATime      = "CodeDeployDefault.OneAtATime"
)

// What this server has of several.
const (
	serverPlatform     = "Server"
	inPlace            = "IN_PLACE"
	withoutTraffic     = "WITHOUT_TRAFFIC_CONTROL"
	revisionS3         = "S3"
	instanceTargetType = "InstanceTarget"
)

// defaultFileExists is what agents do with files that are in the way unless told otherwise.
const defaultFileExists = "DISALLOW"

// Package pipeline holds the nouns of CodePipeline and the rules of a pipeline's structure.
//
// A Declaration is what users write: its JSON form is the one of the CodePipeline API, so a
// definition file, a stored version and a request body are the same text. Validate says
// whether the service would take it. The package is pure.
package pipeline

// ActionExecutionID names one run of one action; every retry has a new one (S-115).
type ActionExecutionID string

// ExecutionID names one execution of a pipeline (S-84).
type ExecutionID string

// JobID names one job of an action execution (S-303).
type JobID string

// ExecutionMode says how executions of one pipeline share its stages (S-15).
type ExecutionMode string

// The execution modes of S-15.
const (
	Superseded ExecutionMode = "SUPERSEDED"
	Queued     ExecutionMode = "QUEUED"
	Parallel   ExecutionMode = "PARALLEL"
)

// The pipeline types of S-16.
const (
	V1 = "V1"
	V2 = "V2"
)

// Declaration is the structure of a pipeline (PipelineDeclaration of the API).
type Declaration struct {
	Name           string                   `json:"name"`
	RoleARN        string                   `json:"roleArn"`
	ArtifactStore  *ArtifactStore           `json:"artifactStore,omitempty"`
	ArtifactStores map[string]ArtifactStore `json:"artifactStores,omitempty"`
	Stages         []Stage                  `json:"stages"`
	Version        int                      `json:"version,omitempty"`
	ExecutionMode  ExecutionMode            `json:"executionMode,omitempty"`
	PipelineType   string                   `json:"pipelineType,omitempty"`
	Variables      []VariableDeclaration    `json:"variables,omitempty"`
	Triggers       []TriggerDeclaration     `json:"triggers,omitempty"`
}

// ArtifactStore is the bucket of one Region that holds artifacts (S-9 to S-12).
type ArtifactStore struct {
	Type          string         `json:"type"`
	Location      string         `json:"location"`
	EncryptionKey *EncryptionKey `json:"encryptionKey,omitempty"`
}

// EncryptionKey is the key artifacts are encrypted with; nil means the AWS-managed key (S-12).
type EncryptionKey struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// VariableDeclaration declares a pipeline variable (S-18). A nil DefaultValue must be
// supplied at start (S-102).
type VariableDeclaration struct {
	Name         string  `json:"name"`
	DefaultValue *string `json:"defaultValue,omitempty"`
	Description  string  `json:"description,omitempty"`
}

// Stage is a named group of actions with an inbound transition in front (S-1).
type Stage struct {
	Name        string             `json:"name"`
	Blockers    []Blocker          `json:"blockers,omitempty"`
	Actions     []Action           `json:"actions"`
	BeforeEntry *Conditions        `json:"beforeEntry,omitempty"`
	OnSuccess   *Conditions        `json:"onSuccess,omitempty"`
	OnFailure   *FailureConditions `json:"onFailure,omitempty"`
}

// Blocker is reserved by AWS; it is kept and has no effect (S-28).
type Blocker struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Conditions are the entry or success conditions of a stage (S-29).
type Conditions struct {
	Conditions []Condition `json:"conditions"`
}

// FailureConditions say what happens when a stage failed (S-30).
type FailureConditions struct {
	Result             string              `json:"result,omitempty"`
	RetryConfiguration *RetryConfiguration `json:"retryConfiguration,omitempty"`
	Conditions         []Condition         `json:"conditions,omitempty"`
}

// RetryConfiguration is the mode of an automatic retry (S-179).
type RetryConfiguration struct {
	RetryMode RetryMode `json:"retryMode,omitempty"`
}

// Condition is a set of rules and the result that engages when one fails (S-200, S-201).
type Condition struct {
	Result string `json:"result,omitempty"`
	Rules  []Rule `json:"rules,omitempty"`
}

// Rule is one check of a condition (S-32).
type Rule struct {
	Name             string            `json:"name"`
	RuleTypeID       RuleTypeID        `json:"ruleTypeId"`
	Configuration    map[string]string `json:"configuration,omitempty"`
	Commands         []string          `json:"commands,omitempty"`
	InputArtifacts   []ArtifactName    `json:"inputArtifacts,omitempty"`
	RoleARN          string            `json:"roleArn,omitempty"`
	Region           string            `json:"region,omitempty"`
	TimeoutInMinutes int               `json:"timeoutInMinutes,omitempty"`
}

// RuleTypeID identifies a rule type; owner and version may be left out.
type RuleTypeID struct {
	Category string `json:"category"`
	Owner    string `json:"owner,omitempty"`
	Provider string `json:"provider"`
	Version  string `json:"version,omitempty"`
}

// Action is one task of a stage (S-33 to S-46).
type Action struct {
	Name                 string                `json:"name"`
	ActionTypeID         ActionTypeID          `json:"actionTypeId"`
	RunOrder             int                   `json:"runOrder,omitempty"`
	Configuration        map[string]string     `json:"configuration,omitempty"`
	Commands             []string              `json:"commands,omitempty"`
	OutputArtifacts      []OutputArtifact      `json:"outputArtifacts,omitempty"`
	InputArtifacts       []ArtifactName        `json:"inputArtifacts,omitempty"`
	OutputVariables      []string              `json:"outputVariables,omitempty"`
	RoleARN              string                `json:"roleArn,omitempty"`
	Region               string                `json:"region,omitempty"`
	Namespace            string                `json:"namespace,omitempty"`
	TimeoutInMinutes     int                   `json:"timeoutInMinutes,omitempty"`
	EnvironmentVariables []EnvironmentVariable `json:"environmentVariables,omitempty"`
}

// ArtifactName refers to an artifact (InputArtifact of the API).
type ArtifactName struct {
	Name string `json:"name"`
}

// OutputArtifact declares an artifact and, for compute actions, its files (S-46).
type OutputArtifact struct {
	Name  string   `json:"name"`
	Files []string `json:"files,omitempty"`
}

// EnvironmentVariable is given to compute actions (S-45).
type EnvironmentVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type,omitempty"`
}

// ActionTypeID is the 4-tuple that identifies an action type (S-34).
type ActionTypeID struct {
	Category string `json:"category"`
	Owner    string `json:"owner"`
	Provider string `json:"provider"`
	Version  string `json:"version"`
}

// TriggerDeclaration filters the Git events that start the pipeline (S-255).
type TriggerDeclaration struct {
	ProviderType     string           `json:"providerType"`
	GitConfiguration GitConfiguration `json:"gitConfiguration"`
}

// GitConfiguration is the filter of one source action (S-255).
type GitConfiguration struct {
	SourceActionName string                 `json:"sourceActionName"`
	Push             []GitPushFilter        `json:"push,omitempty"`
	PullRequest      []GitPullRequestFilter `json:"pullRequest,omitempty"`
}

// GitPushFilter selects pushes (S-256).
type GitPushFilter struct {
	Tags      *GitFilter `json:"tags,omitempty"`
	Branches  *GitFilter `json:"branches,omitempty"`
	FilePaths *GitFilter `json:"filePaths,omitempty"`
}

// GitPullRequestFilter selects pull request events (S-257).
type GitPullRequestFilter struct {
	Events    []string   `json:"events,omitempty"`
	Branches  *GitFilter `json:"branches,omitempty"`
	FilePaths *GitFilter `json:"filePaths,omitempty"`
}

// GitFilter is a pair of pattern lists; excludes win (S-261).
type GitFilter struct {
	Includes []string `json:"includes,omitempty"`
	Excludes []string `json:"excludes,omitempty"`
}

// Package connection is the CodeStarSourceConnection source action (P-4…P-7): a commit of a
// repository behind a connection becomes the action's output artifact. The commit is that
// of the event that started the execution, or the tip of the branch.
package connection

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyConnection = "ConnectionArn"
	keyRepository = "FullRepositoryId"
	keyBranch     = "BranchName"
	keyFormat     = "OutputArtifactFormat"
)

const (
	// maxMessage is what is kept of a commit message in the output variable. S-283
	maxMessage = 100 << 10
	// maxSummary is the longest summary the API shows.
	maxSummary = 2048
	// maxAnswer bounds the answer of the service.
	maxAnswer = 1 << 20
)

// Provider runs Source/AWS/CodeStarSourceConnection/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool { return !pipeline.IsConnection(t.ID) })
}

// input and output are those of the service's own operation UploadRevision.
type input struct {
	Connection string `json:"ConnectionArn"`
	Repository string `json:"FullRepositoryId"`
	Branch     string `json:"BranchName"`
	Commit     string `json:"CommitId,omitempty"`
	Format     string `json:"Format,omitempty"`
	Bucket     string `json:"S3Bucket"`
	Key        string `json:"S3Key"`
	KMSKey     string `json:"KmsKeyId,omitempty"`
}

type output struct {
	Commit        string `json:"CommitId"`
	Message       string `json:"CommitMessage"`
	AuthorName    string
	AuthorEmail   string
	AuthorDate    string
	CommitterDate string
	ProviderType  string
}

// gitEvent is what the trigger of the execution tells (S-347).
type gitEvent struct {
	Repository  string `json:"full-repository-name"`
	Connection  string `json:"connection-arn"`
	Commit      string `json:"commit-id"`
	Branch      string `json:"branch-name"`
	Tag         string `json:"tag-name"`
	Destination string `json:"destination-branch-name"`
	Source      string `json:"source-branch-name"`
	Number      string `json:"pull-request-id"`
	Title       string `json:"pull-request-title"`
	AuthorID    string `json:"author-id"`
	AuthorName  string `json:"author-display-name"`
}

// Run takes the revision, has it written as the artifact and reports both (S-232). Done
// twice, it puts the artifact of the revision it then finds in the same place.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	c := job.Configuration
	if len(job.Outputs) != 1 {
		return provider.Failed(pipeline.ConfigurationError, "The source action '%s' needs exactly one output artifact; it has %d.", job.Action, len(job.Outputs))
	}
	out := job.Outputs[0]
	in := input{Connection: c[keyConnection], Repository: c[keyRepository], Branch: c[keyBranch], Format: c[keyFormat], Bucket: out.Bucket, Key: out.Key}
	if job.EncryptionKey != nil {
		in.KMSKey = job.EncryptionKey.ID
	}
	for _, o := range job.Overrides {
		if o.RevisionType == "COMMIT_ID" && (o.ActionName == "" || o.ActionName == job.Action) {
			in.Commit = o.RevisionValue
		}
	}
	// The event belongs to this action if it names what the action is to take.
	event, ok := gitEvent{}, false
	if job.Trigger.Type == pipeline.TriggerWebhookV2 && json.Unmarshal([]byte(job.Trigger.Detail), &event) == nil {
		ok = event.Connection == in.Connection && event.Repository == in.Repository && event.Commit == in.Commit && in.Commit != ""
	}
	if !ok {
		event = gitEvent{}
	}
	if event.Branch != "" {
		in.Branch = event.Branch // a filter may have let another branch pass
	}
	tried := "get the commit " + in.Commit + " of the repository " + in.Repository + " through the connection " + in.Connection
	if in.Commit == "" {
		tried = "get the branch " + in.Branch + " of the repository " + in.Repository + " through the connection " + in.Connection
	}
	var got output
	if err := call(ctx, job, "UploadRevision", in, &got); err != nil {
		return failed(job, err, tried)
	}
	return result(job, in, event, got)
}

// failed turns the failure of the call into a result. The connection and the repository are
// named by the configuration; a branch or commit may have gone since.
func failed(job provider.Job, err error, tried string) provider.Result {
	r := job.CallFailed(err, tried, "ResourceNotFoundException", "ResourceUnavailableException", "NoSuchBucket")
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "BranchDoesNotExistException", "CommitDoesNotExistException":
			r.Error.Code = pipeline.RevisionUnavailable
		}
	}
	return r
}

// result reports revision and variables (S-281).
func result(job provider.Job, in input, event gitEvent, got output) provider.Result {
	q := url.Values{"connectionArn": {in.Connection}, "referenceType": {"COMMIT"}, "FullRepositoryId": {in.Repository}, "Commit": {got.Commit}}
	page := job.Env.ConsoleURL + "/codesuite/settings/connections/redirect?" + q.Encode()
	summary, err := json.Marshal(map[string]string{"ProviderType": got.ProviderType, "CommitMessage": cut(got.Message, maxSummary/2)})
	if err != nil {
		return provider.Failed(pipeline.SystemUnavailable, "The commit could not be described: %v", err)
	}
	text := cut(string(summary), maxSummary)
	at, _ := time.Parse(time.RFC3339, got.CommitterDate) // a commit may have a date that is none
	vars := map[string]string{
		"AuthorDate": got.AuthorDate, "AuthorDisplayName": got.AuthorName, "AuthorEmail": got.AuthorEmail, "AuthorId": event.AuthorID,
		"CommitId": got.Commit, "CommitMessage": cut(got.Message, maxMessage), "ConnectionArn": in.Connection,
		"FullRepositoryName": in.Repository, "ProviderType": got.ProviderType,
	}
	switch {
	case event.Number != "":
		vars["DestinationBranchName"], vars["SourceBranchName"] = event.Destination, event.Source
		vars["PullRequestId"], vars["PullRequestTitle"] = event.Number, event.Title
	case event.Tag != "":
		vars["BranchName"], vars["TagName"] = in.Branch, event.Tag
	default:
		vars["BranchName"] = in.Branch
	}
	return provider.Result{
		Progress:        provider.Progress{Summary: text, ExternalID: got.Commit, ExternalURL: page},
		Revision:        &pipeline.Revision{ID: got.Commit, ChangeIdentifier: got.CommitterDate, Summary: text, Created: at, URL: page},
		OutputVariables: vars,
	}
}

// call makes a request for an operation of the service that no SDK has. The service is the
// one that the connection's ARN names.
func call(ctx context.Context, job provider.Job, operation string, in, out any) error {
	service, target := "codeconnections", "com.amazonaws.codeconnections.CodeConnections_20231201."
	if strings.Contains(job.Configuration[keyConnection], ":codestar-connections:") {
		service, target = "codestar-connections", "com.amazonaws.codestar.connections.CodeStar_connections_20191201."
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	cfg := job.Env.AWS
	if cfg.BaseEndpoint == nil {
		return errors.New("connections are only offered by penstock servers, and there is no endpoint")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *cfg.BaseEndpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", target+operation)
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), service, cfg.Region, time.Now()); err != nil {
		return err
	}
	res, err := cfg.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusOK {
		return json.Unmarshal(answer, out)
	}
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &refusal) // an answer that is no JSON has no type
	said := &smithy.GenericAPIError{Code: refusal.Type[strings.LastIndexByte(refusal.Type, '#')+1:], Message: refusal.Message, Fault: smithy.FaultClient}
	if res.StatusCode >= 500 || said.Code == "" {
		said.Fault = smithy.FaultServer
	}
	return said
}

// cut gives at most n bytes of s, ending with a whole character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

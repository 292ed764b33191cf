package connection

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

const commitID = "0123456789abcdef0123456789abcdef01234567"

// run does a job against a service that answers so, and gives what the service was asked.
func run(t *testing.T, status int, answer string, change func(*provider.Job)) (provider.Result, map[string]string, http.Header) {
	t.Helper()
	var asked map[string]string
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		header = r.Header
		if err := json.Unmarshal(body, &asked); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	job := provider.Job{
		ID: "j", Account: "111111111111", Region: "eu-west-1", Action: "Git", RoleARN: "arn:aws:iam::111111111111:role/p",
		Configuration: map[string]string{"ConnectionArn": "arn:aws:codestar-connections:eu-west-1:111111111111:connection/x", "FullRepositoryId": "o/r", "BranchName": "main"},
		Outputs:       []pipeline.Artifact{{Name: "out", Bucket: "b", Key: "k"}},
		Env: provider.Env{ConsoleURL: "http://h", AWS: aws.Config{Region: "eu-west-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "token")}},
	}
	if change != nil {
		change(&job)
	}
	return New().Run(t.Context(), job), asked, header
}

const found = `{"CommitId":"` + commitID + `","CommitMessage":"Subject\n","AuthorName":"A","AuthorEmail":"a@x","AuthorDate":"2026-01-02T03:04:05Z","CommitterDate":"2026-01-02T03:04:06Z","ProviderType":"GitHub"}`

func override(job *provider.Job) {
	job.Overrides = []pipeline.SourceRevisionOverride{{ActionName: "Git", RevisionType: "COMMIT_ID", RevisionValue: commitID}}
}

// S-232, S-281, P-4: revision, variables and references of a start that names no commit.
func TestRun(t *testing.T) {
	t.Parallel()
	r, asked, header := run(t, 200, found, nil)
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	if asked["BranchName"] != "main" || asked["CommitId"] != "" || asked["S3Bucket"] != "b" || asked["S3Key"] != "k" ||
		header.Get("X-Amz-Target") != "com.amazonaws.codestar.connections.CodeStar_connections_20191201.UploadRevision" ||
		!strings.Contains(header.Get("Authorization"), "/eu-west-1/codestar-connections/aws4_request") {
		t.Errorf("asked %v %v", asked, header)
	}
	for key, want := range map[string]string{"AuthorDate": "2026-01-02T03:04:05Z", "AuthorDisplayName": "A", "AuthorEmail": "a@x", "AuthorId": "", "CommitId": commitID,
		"CommitMessage": "Subject\n", "ConnectionArn": "arn:aws:codestar-connections:eu-west-1:111111111111:connection/x", "FullRepositoryName": "o/r", "ProviderType": "GitHub", "BranchName": "main"} {
		if got, ok := r.OutputVariables[key]; got != want || !ok {
			t.Errorf("%s is %q", key, got)
		}
	}
	if len(r.OutputVariables) != 10 || r.Revision.ID != commitID || r.Summary != `{"CommitMessage":"Subject\n","ProviderType":"GitHub"}` || r.ExternalID != commitID ||
		!strings.Contains(r.ExternalURL, "&FullRepositoryId=") && !strings.Contains(r.ExternalURL, "FullRepositoryId=o%2Fr") {
		t.Errorf("%+v %+v", r, r.Revision)
	}
}

// S-281: the variables of the event that started the execution, if it is this action's.
func TestRunEvent(t *testing.T) {
	t.Parallel()
	event := pipeline.GitEvent{Kind: pipeline.GitPullRequest, Branch: "main", SourceBranch: "f", Number: "7", Title: "T", Commit: commitID, AuthorID: "u",
		Repository: "o/r", Connection: "arn:aws:codestar-connections:eu-west-1:111111111111:connection/x"}
	tag, push, other := event, event, event
	tag.Kind, tag.Tag = pipeline.GitTag, "v1"
	push.Kind, push.Branch = pipeline.GitPush, "release/1"
	other.Repository = "o/other"
	for _, c := range []struct {
		event  pipeline.GitEvent
		want   map[string]string
		absent string
	}{
		{event, map[string]string{"DestinationBranchName": "main", "SourceBranchName": "f", "PullRequestId": "7", "PullRequestTitle": "T", "AuthorId": "u"}, "BranchName"},
		{tag, map[string]string{"TagName": "v1", "BranchName": "main"}, "PullRequestId"},
		{push, map[string]string{"BranchName": "release/1"}, "TagName"},
		{other, map[string]string{"BranchName": "main", "AuthorId": ""}, "PullRequestId"},
	} {
		r, asked, _ := run(t, 200, found, func(job *provider.Job) {
			override(job)
			job.Trigger = pipeline.Trigger{Type: pipeline.TriggerWebhookV2, Detail: c.event.Detail()}
		})
		if r.Error != nil || asked["CommitId"] != commitID {
			t.Fatal(r.Error, asked)
		}
		for key, want := range c.want {
			if r.OutputVariables[key] != want {
				t.Errorf("%s is %q, want %q", key, r.OutputVariables[key], want)
			}
		}
		if v, ok := r.OutputVariables[c.absent]; ok {
			t.Errorf("%s is there: %q", c.absent, v)
		}
	}
}

// P-4: what is gone, what was never there, what is forbidden, what is down.
func TestRunFailures(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]string{
		"BranchDoesNotExistException": pipeline.RevisionUnavailable, "CommitDoesNotExistException": pipeline.RevisionUnavailable,
		"ResourceNotFoundException": pipeline.ConfigurationError, "ResourceUnavailableException": pipeline.ConfigurationError,
		"RepositoryNotReachableException": pipeline.ConfigurationError, "AccessDeniedException": pipeline.PermissionError,
	} {
		r, _, _ := run(t, 400, `{"__type":"x#`+answer+`","message":"because"}`, nil)
		if r.Error == nil || r.Error.Code != code || !strings.Contains(r.Error.Message, "because") || !strings.Contains(r.Error.Message, "o/r") {
			t.Errorf("%s: %+v", answer, r.Error)
		}
	}
	for answer, status := range map[string]int{`{"__type":"InternalFailure"}`: 500, `<html>`: 502, ``: 404} {
		if r, _, _ := run(t, status, answer, nil); r.Error == nil || r.Error.Code != pipeline.SystemUnavailable {
			t.Errorf("%q: %+v", answer, r.Error)
		}
	}
	if r, _, _ := run(t, 200, found, func(job *provider.Job) { job.Outputs = nil }); r.Error == nil {
		t.Error("no output artifact is fine")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	job := provider.Job{Configuration: map[string]string{}, Outputs: []pipeline.Artifact{{}}, Env: provider.Env{AWS: aws.Config{BaseEndpoint: new("http://127.0.0.1:1"),
		HTTPClient: http.DefaultClient, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}}}
	if r := New().Run(ctx, job); r.Error == nil || r.Error.Code != pipeline.SystemUnavailable {
		t.Errorf("stopped: %+v", r.Error)
	}
}

// P-4: the contract of every provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, New())
}

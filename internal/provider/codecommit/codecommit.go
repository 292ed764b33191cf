// Package codecommit is the CodeCommit source action (P-2): the commit at the tip of a branch,
// or the one a start names, becomes the action's output artifact.
package codecommit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"penstock/internal/arn"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
)

// Configuration keys of the action.
const (
	keyRepository = "RepositoryName"
	keyBranch     = "BranchName"
	keyFormat     = "OutputArtifactFormat"

	cloneRef = "CODEBUILD_CLONE_REF"
)

// maxMessage is what is kept of a commit message in the output variable. S-283
const maxMessage = 100 << 10

// maxSummary is the longest summary the API shows.
const maxSummary = 2048

// An archive that nothing tells of is asked for soon at first, because most are small, and
// then less and less often.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// maxLost is how often an archive is begun anew because the service forgot it.
const maxLost = 10

// Provider runs Source/AWS/CodeCommit/1. The zero value is ready.
type Provider struct{}

// New gives the provider.
func New() provider.Provider { return Provider{} }

// Types is the one action type, as the catalogue has it.
func (Provider) Types() []pipeline.ActionType {
	return slices.DeleteFunc(pipeline.BuiltinTypes(), func(t pipeline.ActionType) bool {
		return t.ID.Provider != "CodeCommit" || t.ID.Category != pipeline.CategorySource
	})
}

// Run takes the revision, writes the artifact and reports both (S-232). Done twice, it puts
// the artifact of the revision it then finds in the same place.
func (Provider) Run(ctx context.Context, job provider.Job) provider.Result {
	s := &source{
		Job: job, client: codecommit.NewFromConfig(job.Env.AWS),
		repository: job.Configuration[keyRepository], branch: job.Configuration[keyBranch],
	}
	if len(job.Outputs) != 1 {
		return provider.Failed(pipeline.ConfigurationError, "The source action '%s' needs exactly one output artifact; it has %d.", job.Action, len(job.Outputs))
	}
	commit, failure := s.commit(ctx)
	if failure != nil {
		return *failure
	}
	if job.Configuration[keyFormat] == cloneRef {
		failure = s.reference(ctx, *commit.CommitId)
	} else {
		failure = s.archive(ctx, *commit.CommitId)
	}
	if failure != nil {
		return *failure
	}
	return s.result(commit)
}

// source is one run of the action.
type source struct {
	provider.Job
	client             *codecommit.Client
	repository, branch string
}

// is says whether a service answered with one of the codes.
func is(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// fail turns the failure of a call into a result. The repository is named by the
// configuration; a branch or commit may have gone since.
func (s *source) fail(err error, tried string) *provider.Result {
	r := s.CallFailed(err, tried, "RepositoryDoesNotExistException", "InvalidRepositoryNameException", "InvalidBranchNameException")
	if is(err, "BranchDoesNotExistException", "CommitDoesNotExistException", "CommitIdDoesNotExistException", "InvalidCommitIdException") {
		r.Error.Code = pipeline.RevisionUnavailable
	}
	if is(err, "UploadDoesNotExistException", "ThrottlingException") {
		r.Error.Code = pipeline.SystemUnavailable
	}
	return &r
}

// commit finds the revision: the one named at the start, or the tip of the branch (S-232).
// With a named one the branch need not exist (S-99).
func (s *source) commit(ctx context.Context) (*types.Commit, *provider.Result) {
	id := ""
	for _, o := range s.Overrides {
		if o.RevisionType == "COMMIT_ID" && (o.ActionName == "" || o.ActionName == s.Action) {
			id = o.RevisionValue
		}
	}
	if id == "" {
		tried := "get the branch " + s.branch + " of the repository " + s.repository
		out, err := s.client.GetBranch(ctx, &codecommit.GetBranchInput{RepositoryName: &s.repository, BranchName: &s.branch})
		if err != nil {
			return nil, s.fail(err, tried)
		}
		if out.Branch == nil || out.Branch.CommitId == nil {
			return nil, s.fail(errors.New("the answer has no commit id"), tried)
		}
		id = *out.Branch.CommitId
	}
	tried := "get the commit " + id + " of the repository " + s.repository
	out, err := s.client.GetCommit(ctx, &codecommit.GetCommitInput{RepositoryName: &s.repository, CommitId: &id})
	if err != nil {
		return nil, s.fail(err, tried)
	}
	if out.Commit == nil {
		return nil, s.fail(errors.New("the answer has no commit"), tried)
	}
	out.Commit.CommitId = &id
	return out.Commit, nil
}

// arn is the repository as hints name it.
func (s *source) arn() string {
	return arn.New("codecommit", s.Region, s.Account, s.repository)
}

// archive has the service put the zip of the commit into the artifact store, S-235.
func (s *source) archive(ctx context.Context, commit string) *provider.Result {
	out := s.Outputs[0]
	tried := "put the archive of the commit " + commit + " of the repository " + s.repository + " into s3://" + out.Bucket + "/" + out.Key
	in := uploadInput{Repository: s.repository, Commit: commit, Bucket: out.Bucket, Key: out.Key}
	if s.EncryptionKey != nil {
		in.KMSKey = s.EncryptionKey.ID
	}
	id, lost := "", 0
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		if id == "" {
			var begun uploadOutput
			if err := call(ctx, s.client, "UploadArchive", in, &begun); err != nil {
				return s.fail(err, tried)
			}
			id = begun.ID
		}
		changed := s.Env.Changed(s.arn())
		var now statusOutput
		err := call(ctx, s.client, "GetUploadArchiveStatus", statusInput{Repository: s.repository, ID: id}, &now)
		switch {
		case is(err, "UploadDoesNotExistException"):
			// The service was started anew meanwhile.
			if id, lost = "", lost+1; lost > maxLost {
				return s.fail(err, tried)
			}
			continue
		case ctx.Err() != nil:
			s.cancel(ctx, id)
			return s.fail(ctx.Err(), tried)
		case err != nil:
			return s.fail(err, tried)
		case now.Status == "Completed":
			return nil
		case now.Status == "Failed" || now.Status == "Cancelled":
			return s.uploadFailed(now, tried)
		}
		provider.Wait(ctx, changed, pause)
	}
}

// uploadFailed reads why the service could not put the archive.
func (s *source) uploadFailed(now statusOutput, tried string) *provider.Result {
	code := now.ErrorCode
	if code == "" {
		code = now.Status
	}
	r := s.CallFailed(&smithy.GenericAPIError{Code: code, Message: now.ErrorMessage}, tried)
	if now.Status == "Cancelled" || code == "InternalFailure" || code == "ServiceUnavailable" {
		r.Error.Code = pipeline.SystemUnavailable
	}
	return &r
}

// cancel ends an archive that nobody waits for any more.
func (s *source) cancel(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := call(ctx, s.client, "CancelUploadArchive", statusInput{Repository: s.repository, ID: id}, nil); err != nil && s.Env.Log != nil {
		s.Env.Log.Debug("codecommit: cancel an archive", "error", err)
	}
}

// Reference is the artifact of OutputArtifactFormat CODEBUILD_CLONE_REF: the whole object is
// this JSON, which only CodeBuild actions read (P-2).
type Reference struct {
	Version    int        `json:"version"`
	Type       string     `json:"type"`
	URL        string     `json:"url"`
	Commit     string     `json:"commit"`
	Branch     string     `json:"branch"`
	Credential Credential `json:"credential"`
}

// Credential says with what a Reference is cloned: Kind "codecommit" with the ARN of the
// repository, for which the build's role needs codecommit:GitPull.
type Credential struct {
	Kind string `json:"kind"`
	Ref  string `json:"ref"`
}

// reference writes the artifact that a build clones by.
func (s *source) reference(ctx context.Context, commit string) *provider.Result {
	tried := "get the clone URL of the repository " + s.repository
	repo, err := s.client.GetRepository(ctx, &codecommit.GetRepositoryInput{RepositoryName: &s.repository})
	if err != nil {
		return s.fail(err, tried)
	}
	m := repo.RepositoryMetadata
	if m == nil || m.CloneUrlHttp == nil || m.Arn == nil {
		return s.fail(errors.New("the answer has none"), tried)
	}
	data, err := json.Marshal(Reference{
		Version: 1, Type: "git", URL: *m.CloneUrlHttp, Commit: commit, Branch: s.branch,
		Credential: Credential{Kind: "codecommit", Ref: *m.Arn},
	})
	out := s.Outputs[0]
	tried = "write the clone reference to s3://" + out.Bucket + "/" + out.Key
	if err != nil {
		return s.fail(err, tried)
	}
	put := &s3.PutObjectInput{Bucket: &out.Bucket, Key: &out.Key, Body: bytes.NewReader(data), ContentType: new("application/json")}
	if s.EncryptionKey != nil {
		put.ServerSideEncryption, put.SSEKMSKeyId = s3types.ServerSideEncryptionAwsKms, &s.EncryptionKey.ID
	}
	store := s3.NewFromConfig(s.Env.ArtifactAWS, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.PutObject(ctx, put); err != nil {
		return s.fail(err, tried)
	}
	return nil
}

// result reports revision and variables (S-281).
func (s *source) result(c *types.Commit) provider.Result {
	message := text(c.Message)
	author, _ := moment(c.Author)
	date, at := moment(c.Committer)
	page := s.Env.ConsoleURL + "/codesuite/codecommit/repositories/" + url.PathEscape(s.repository) +
		"/commit/" + *c.CommitId + "?region=" + url.QueryEscape(s.Region)
	summary := cut(message, maxSummary)
	return provider.Result{
		Progress: provider.Progress{Summary: summary, ExternalID: *c.CommitId, ExternalURL: page},
		Revision: &pipeline.Revision{ID: *c.CommitId, ChangeIdentifier: date, Summary: summary, Created: at, URL: page},
		OutputVariables: map[string]string{
			"AuthorDate": author, "BranchName": s.branch, "CommitId": *c.CommitId,
			"CommitMessage": cut(message, maxMessage), "CommitterDate": date, "RepositoryName": s.repository,
		},
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// moment reads a date of the API, "1484167798 -0800", and writes it as the variables have it,
// in UTC.
func moment(u *types.UserInfo) (string, time.Time) {
	if u == nil {
		return "", time.Time{}
	}
	seconds, _, _ := strings.Cut(text(u.Date), " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return text(u.Date), time.Time{}
	}
	at := time.Unix(n, 0).UTC()
	return at.Format(time.RFC3339), at
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

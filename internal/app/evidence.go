package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/audit"
)

const (
	// maxLooked bounds the records that are looked through for one release.
	maxLooked = 20_000
	// sealTime is how long a record of a moment ago may take to be sealed.
	sealTime  = 30 * time.Second
	sealEvery = 250 * time.Millisecond
)

// evidence is an Evidence under way.
type evidence struct {
	*audit.Evidence
	cfg     aws.Config
	began   time.Time
	ended   time.Time
	sources map[string]types.ActionDeclaration
}

// Evidence collects what an auditor asks of an execution, over the API and with the rights of the
// caller: of the pipeline, its sources, the artifact bucket and the audit log.
func Evidence(ctx context.Context, cfg aws.Config, pipeline, execution string) (*audit.Evidence, error) {
	e := &evidence{cfg: cfg, sources: map[string]types.ActionDeclaration{},
		Evidence: &audit.Evidence{Format: audit.EvidenceFormat, Region: cfg.Region, Pipeline: pipeline, Execution: execution, Exported: time.Now().UTC()}}
	for _, step := range []func(context.Context) error{e.execution, e.actions, e.revisions, e.records} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return e.Evidence, e.Tell()
}

// execution reads the execution and its definition.
func (e *evidence) execution(ctx context.Context) error {
	client := codepipeline.NewFromConfig(e.cfg)
	out, err := client.GetPipelineExecution(ctx, &codepipeline.GetPipelineExecutionInput{PipelineName: &e.Pipeline, PipelineExecutionId: &e.Execution})
	if err != nil {
		return err
	}
	x := out.PipelineExecution
	h := &e.History
	h.Status, h.Version = string(x.Status), int(aws.ToInt32(x.PipelineVersion))
	if x.Trigger != nil {
		h.Trigger, h.Detail = string(x.Trigger.TriggerType), aws.ToString(x.Trigger.TriggerDetail)
	}
	var definition json.RawMessage
	if err := CallPipelines(ctx, e.cfg, "GetPipeline", map[string]any{"name": e.Pipeline, "version": h.Version}, &definition); err != nil {
		return err
	}
	h.Definition = definition
	d, err := client.GetPipeline(ctx, &codepipeline.GetPipelineInput{Name: &e.Pipeline, Version: x.PipelineVersion})
	if err != nil {
		return err
	}
	for _, s := range d.Pipeline.Stages {
		for _, a := range s.Actions {
			if a.ActionTypeId.Category == types.ActionCategorySource {
				e.sources[aws.ToString(a.Name)] = a
			}
		}
	}
	for _, r := range x.ArtifactRevisions {
		h.Revisions = append(h.Revisions, audit.Revision{Action: aws.ToString(r.Name), Revision: aws.ToString(r.RevisionId), Summary: aws.ToString(r.RevisionSummary)})
	}
	return nil
}

// actions reads what the actions did, oldest first, and the artifacts.
func (e *evidence) actions(ctx context.Context) error {
	h := &e.History
	pages := codepipeline.NewListActionExecutionsPaginator(codepipeline.NewFromConfig(e.cfg), &codepipeline.ListActionExecutionsInput{
		PipelineName: &e.Pipeline, Filter: &types.ActionExecutionFilter{PipelineExecutionId: &e.Execution}})
	revisions := map[string]string{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, a := range page.ActionExecutionDetails {
			r := audit.Result{Stage: aws.ToString(a.StageName), Action: aws.ToString(a.ActionName), ID: aws.ToString(a.ActionExecutionId), Status: string(a.Status),
				Started: aws.ToTime(a.StartTime), Updated: aws.ToTime(a.LastUpdateTime), By: aws.ToString(a.UpdatedBy)}
			if in := a.Input; in != nil && in.ActionTypeId != nil {
				r.Category = string(in.ActionTypeId.Category)
			}
			if out := a.Output; out != nil {
				if x := out.ExecutionResult; x != nil {
					r.Summary, r.ExternalID = aws.ToString(x.ExternalExecutionSummary), aws.ToString(x.ExternalExecutionId)
					if x.ErrorDetails != nil {
						r.Error = aws.ToString(x.ErrorDetails.Code) + ": " + aws.ToString(x.ErrorDetails.Message)
					}
				}
				for _, artifact := range out.OutputArtifacts {
					revisions[aws.ToString(artifact.Name)] = r.Action
					h.Artifacts = append(h.Artifacts, e.artifact(ctx, r.Action, artifact))
				}
			}
			h.Actions = append(h.Actions, r)
			if e.began.IsZero() || r.Started.Before(e.began) {
				e.began = r.Started
			}
			if r.Updated.After(e.ended) {
				e.ended = r.Updated
			}
		}
	}
	if h.Status == string(types.PipelineExecutionStatusInProgress) || h.Status == string(types.PipelineExecutionStatusStopping) {
		e.ended = time.Now()
	}
	slices.Reverse(h.Actions)
	slices.Reverse(h.Artifacts)
	for i := range h.Revisions { // the API names them by their artifacts
		h.Revisions[i].Action = cmp.Or(revisions[h.Revisions[i].Action], h.Revisions[i].Action)
	}
	return nil
}

// artifact reads an artifact and gives its digest.
func (e *evidence) artifact(ctx context.Context, action string, d types.ArtifactDetail) audit.Artifact {
	a := audit.Artifact{Name: aws.ToString(d.Name), Action: action}
	if d.S3location == nil {
		a.Error = "it has no place"
		return a
	}
	a.Bucket, a.Key = aws.ToString(d.S3location.Bucket), aws.ToString(d.S3location.Key)
	client := s3.NewFromConfig(e.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.Bucket, Key: &a.Key})
	if err != nil {
		a.Error = err.Error()
		return a
	}
	defer out.Body.Close()
	sum := sha256.New()
	if a.Bytes, err = io.Copy(sum, out.Body); err != nil {
		a.Bytes, a.Error = 0, err.Error()
		return a
	}
	a.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return a
}

// revisions asks the repositories of this server who wrote the commits.
func (e *evidence) revisions(ctx context.Context) error {
	client := codecommit.NewFromConfig(e.cfg)
	for i := range e.History.Revisions {
		r := &e.History.Revisions[i]
		repository := e.repository(r.Action)
		if repository == "" {
			continue
		}
		out, err := client.GetCommit(ctx, &codecommit.GetCommitInput{RepositoryName: &repository, CommitId: &r.Revision})
		if err != nil {
			return fmt.Errorf("the commit %s of %s: %w", r.Revision, repository, err)
		}
		if a := out.Commit.Author; a != nil {
			r.Author = aws.ToString(a.Name) + ", " + aws.ToString(a.Email) + ", " + aws.ToString(a.Date)
		}
		if c := out.Commit.Committer; c != nil {
			r.Committer = aws.ToString(c.Name) + ", " + aws.ToString(c.Email) + ", " + aws.ToString(c.Date)
		}
	}
	return nil
}

// repository names the repository of this server that a source action reads; "" for others.
func (e *evidence) repository(action string) string {
	a, ok := e.sources[action]
	if !ok || a.ActionTypeId.Owner != types.ActionOwnerAws || aws.ToString(a.ActionTypeId.Provider) != "CodeCommit" {
		return ""
	}
	return a.Configuration["RepositoryName"]
}

// records looks for the records that are about the execution and proves them.
func (e *evidence) records(ctx context.Context) error {
	wanted := func(d audit.Deed) bool {
		switch {
		case d.Execution != "":
			return d.Execution == e.Execution
		case d.Version != 0 && d.Version == e.History.Version:
			return true
		}
		return !d.At.Before(e.began) && !d.At.After(e.ended)
	}
	if err := e.look(ctx, e.Pipeline, wanted); err != nil {
		return err
	}
	for _, r := range e.History.Revisions {
		repository := e.repository(r.Action)
		if repository == "" {
			continue
		}
		if err := e.look(ctx, repository, func(d audit.Deed) bool { return slices.Contains(d.Commits, r.Revision) }); err != nil {
			return err
		}
	}
	slices.SortFunc(e.Records, func(a, b audit.ProvedRecord) int { return cmp.Compare(a.Proof.Seq, b.Proof.Seq) })
	e.Records = slices.CompactFunc(e.Records, func(a, b audit.ProvedRecord) bool { return a.Proof.Seq == b.Proof.Seq })
	return nil
}

// look goes through the records about a resource.
func (e *evidence) look(ctx context.Context, resource string, wanted func(audit.Deed) bool) error {
	in := map[string]any{"LookupAttributes": []map[string]string{{"AttributeKey": "ResourceName", "AttributeValue": resource}}}
	for looked := 0; ; {
		var page struct {
			Events    []struct{ EventId, CloudTrailEvent string }
			NextToken string
		}
		if err := callTrail(ctx, e.cfg, "LookupEvents", in, &page); err != nil {
			return err
		}
		for _, event := range page.Events {
			d, err := audit.ReadDeed(event.CloudTrailEvent)
			if err != nil {
				return err
			}
			if !wanted(d) {
				continue
			}
			if err := e.prove(ctx, event.EventId); err != nil {
				return fmt.Errorf("the record of %s by %s: %w", d.What, d.By, err)
			}
		}
		if looked += len(page.Events); looked > maxLooked {
			return fmt.Errorf("there are more than %d records of %s", maxLooked, resource)
		}
		if page.NextToken == "" {
			return nil
		}
		in["NextToken"] = page.NextToken
	}
}

// prove gets the seal over a record. One of a moment ago may have to be waited for.
func (e *evidence) prove(ctx context.Context, event string) error {
	ctx, stop := context.WithTimeout(ctx, sealTime)
	defer stop()
	again := time.NewTicker(sealEvery)
	defer again.Stop()
	for {
		account, runs, err := sealed(ctx, e.cfg, map[string]any{"EventId": event})
		if err != nil {
			return err
		}
		for _, run := range runs {
			for _, r := range run.Records {
				if !strings.Contains(r.Text, `"eventID":"`+event+`"`) {
					continue
				}
				p, err := audit.Prove(run.Seal, run.Records, r.Seq)
				e.Account = account
				e.Records = append(e.Records, audit.ProvedRecord{Text: r.Text, Proof: p})
				return err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.New("it is not sealed: has its call ended?")
		}
	}
}

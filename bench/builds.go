package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// builds measures whole releases: an S3 source and parallel CodeBuild test actions whose
// buildspec runs `true`. The time is the server's own, from the start of the execution to
// its last change.
func (b *bench) builds() error {
	s, err := b.serve("builds")
	if err != nil {
		return err
	}
	samples, shells, err := b.measureBuilds(s)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	b.add(fmt.Sprintf("(b) release of an S3 source and %d parallel builds that run `true`", buildShells), samples, percentile(shells, 50), "the shells alone", "")
	each := make([]time.Duration, len(samples))
	for i, d := range samples {
		each[i] = (d - percentile(shells, 50)) / (buildShells + 1)
	}
	b.add(fmt.Sprintf("(b) overhead per action, of %d", buildShells+1), each, 0, "", "≤ 10 ms")
	return nil
}

func (b *bench) measureBuilds(s *server) (samples, shells []time.Duration, err error) {
	ctx := b.ctx
	role, err := s.furnish(ctx)
	if err != nil {
		return nil, nil, err
	}
	objects := s3.NewFromConfig(s.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bench-source")}); err != nil {
		return nil, nil, err
	}
	if _, err := objects.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String("bench-source"),
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
		return nil, nil, err
	}
	source, err := sourceZip()
	if err != nil {
		return nil, nil, err
	}
	if _, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bench-source"), Key: aws.String("source.zip"), Body: bytes.NewReader(source)}); err != nil {
		return nil, nil, err
	}
	if _, err := codebuild.NewFromConfig(s.cfg).CreateProject(ctx, &codebuild.CreateProjectInput{Name: aws.String("bench"), ServiceRole: &role,
		Source:    &cbtypes.ProjectSource{Type: cbtypes.SourceTypeCodepipeline},
		Artifacts: &cbtypes.ProjectArtifacts{Type: cbtypes.ArtifactsTypeCodepipeline},
		Environment: &cbtypes.ProjectEnvironment{Type: cbtypes.EnvironmentTypeLinuxContainer, Image: aws.String("aws/codebuild/standard:7.0"),
			ComputeType: cbtypes.ComputeTypeBuildGeneral1Small},
	}); err != nil {
		return nil, nil, err
	}
	name := "builds"
	d := &types.PipelineDeclaration{Name: &name, RoleArn: &role, PipelineType: types.PipelineTypeV2,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: aws.String(bucket)},
		Stages: []types.StageDeclaration{{Name: aws.String("Source"), Actions: []types.ActionDeclaration{{Name: aws.String("Source"),
			ActionTypeId:    &types.ActionTypeId{Category: types.ActionCategorySource, Owner: types.ActionOwnerAws, Provider: aws.String("S3"), Version: aws.String("1")},
			Configuration:   map[string]string{"S3Bucket": "bench-source", "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"},
			OutputArtifacts: []types.OutputArtifact{{Name: aws.String("source")}}}}}, {Name: aws.String("Test")}}}
	for i := range buildShells {
		d.Stages[1].Actions = append(d.Stages[1].Actions, types.ActionDeclaration{Name: aws.String(fmt.Sprint("Test", i)), Configuration: map[string]string{"ProjectName": "bench"},
			ActionTypeId:   &types.ActionTypeId{Category: types.ActionCategoryTest, Owner: types.ActionOwnerAws, Provider: aws.String("CodeBuild"), Version: aws.String("1")},
			InputArtifacts: []types.InputArtifact{{Name: aws.String("source")}}})
	}
	c := codepipeline.NewFromConfig(s.cfg)
	if _, err := c.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: d}); err != nil {
		return nil, nil, err
	}
	for release := range b.count(30) + 2 {
		if release > 0 {
			if _, err := c.StartPipelineExecution(ctx, &codepipeline.StartPipelineExecutionInput{Name: &name}); err != nil {
				return nil, nil, err
			}
		}
		took, err := b.awaitRelease(c, name)
		if err != nil {
			return nil, nil, err
		}
		bare, err := b.shells()
		if err != nil {
			return nil, nil, err
		}
		if release > 1 { // the first two releases warm up
			samples, shells = append(samples, took), append(shells, bare)
		}
	}
	return samples, shells, nil
}

// awaitRelease waits for the newest execution to succeed and gives the time it took.
func (b *bench) awaitRelease(c *codepipeline.Client, name string) (time.Duration, error) {
	look := time.NewTicker(25 * time.Millisecond) // so that looking takes nothing from the builds
	defer look.Stop()
	for limit := time.After(time.Minute); ; {
		out, err := c.ListPipelineExecutions(b.ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: &name, MaxResults: aws.Int32(1)})
		if err != nil {
			return 0, err
		}
		switch e := out.PipelineExecutionSummaries[0]; e.Status {
		case types.PipelineExecutionStatusSucceeded:
			return e.LastUpdateTime.Sub(*e.StartTime), nil
		case types.PipelineExecutionStatusInProgress:
		default:
			actions, err := c.ListActionExecutions(b.ctx, &codepipeline.ListActionExecutionsInput{PipelineName: &name})
			if err != nil {
				return 0, err
			}
			for _, a := range actions.ActionExecutionDetails {
				if a.Status == types.ActionExecutionStatusFailed {
					return 0, fmt.Errorf("the action %s failed: %s", *a.ActionName, aws.ToString(a.Output.ExecutionResult.ErrorDetails.Message))
				}
			}
			return 0, fmt.Errorf("the release ended as %s", e.Status)
		}
		select {
		case <-look.C:
		case <-limit:
			return 0, errors.New("the release did not end")
		}
	}
}

// sourceZip is the source: a buildspec and nothing else.
func sourceZip() ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	f, err := z.Create("buildspec.yml")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write([]byte("version: 0.2\nphases:\n  build:\n    commands:\n      - true\n")); err != nil {
		return nil, err
	}
	err = z.Close()
	return buf.Bytes(), err
}

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// S-86, S-317: while the server's clock jumps by an hour, forwards and backwards, releases go on
// without a wait, each action of each once.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	clock := filepath.Join(t.TempDir(), "clock")
	set := func(to string) {
		t.Helper()
		if err := os.WriteFile(clock+".new", []byte(to), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(clock+".new", clock); err != nil {
			t.Fatal(err)
		}
	}
	set("0s")
	m := newMishap(t)
	m.env = []string{"PENSTOCK_MISHAP_CLOCK=" + clock}
	s := newSiteOn(t, m)
	s.project("release", "")
	build := action("Build", types.ActionCategoryBuild, "CodeBuild", "tree", "", "ProjectName=release")
	build.RunOrder = new(int32(1))
	publish := action("Publish", types.ActionCategoryDeploy, "S3", "tree", "", "BucketName=artifacts", "Extract=false", "ObjectKey=out.zip")
	publish.RunOrder = new(int32(2))
	s.put("sources", "in.zip", entries(t, "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - sleep 2\n"))
	s.pipeline("p", action("Source", types.ActionCategorySource, "S3", "", "tree", "S3Bucket=sources", "S3ObjectKey=in.zip", "PollForSourceChanges=false"), build, publish)
	s.ended("p", "")
	for _, jump := range []string{"1h", "0s", "-1h", "-2h", "0s"} {
		out, err := s.pipelines.StartPipelineExecution(t.Context(), &codepipeline.StartPipelineExecutionInput{Name: new("p")})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		within(t, patience, "a build", func() bool {
			state, err := s.pipelines.GetPipelineState(t.Context(), &codepipeline.GetPipelineStateInput{Name: new("p")})
			if err != nil {
				t.Fatal(err)
			}
			e := state.StageStates[1].LatestExecution
			return e != nil && aws.ToString(e.PipelineExecutionId) == aws.ToString(out.PipelineExecutionId)
		})
		set(jump)
		var did []types.ActionExecutionDetail
		within(t, patience, "the end of an execution after a jump to "+jump, func() bool {
			e, err := s.pipelines.GetPipelineExecution(t.Context(), &codepipeline.GetPipelineExecutionInput{PipelineName: new("p"), PipelineExecutionId: out.PipelineExecutionId})
			if err != nil {
				t.Fatal(err)
			}
			list, err := s.pipelines.ListActionExecutions(t.Context(), &codepipeline.ListActionExecutionsInput{PipelineName: new("p"),
				Filter: &types.ActionExecutionFilter{PipelineExecutionId: out.PipelineExecutionId}})
			if err != nil {
				t.Fatal(err)
			}
			did = list.ActionExecutionDetails
			return e.PipelineExecution.Status != types.PipelineExecutionStatusInProgress
		})
		t.Logf("after a jump to %s it took %s", jump, time.Since(began))
		if len(did) != 3 {
			t.Errorf("after a jump to %s there are %d runs of three actions", jump, len(did))
		}
		for _, d := range did {
			if d.Status != types.ActionExecutionStatusSucceeded {
				_, why := failure(d)
				t.Errorf("after a jump to %s %s is %s: %s", jump, *d.ActionName, d.Status, why)
			}
		}
	}
	s.mortal.stop()
}

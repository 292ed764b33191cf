package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"penstock/internal/mishap"
)

// mishapBinary builds the binary under test once more, with the points at which it can be told
// to kill itself.
var mishapBinary = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binary, "penstock-mishap")
	out, err := exec.Command("go", "build", "-tags", "mishap", "-o", bin, "../cmd/penstock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// newMishap gives a server, not started yet, to which mishaps happen.
func newMishap(t *testing.T) *mortal {
	t.Helper()
	bin, err := mishapBinary()
	if err != nil {
		t.Fatal(err)
	}
	m := newMortal(t)
	m.bin = bin
	return m
}

// TestMishaps kills the server with kill -9 at each point between two steps, while a push goes
// through Source, Build, Approval and Deploy and the end of that starts another pipeline. After
// the restart everything goes on by itself: what was acknowledged has happened, no action has
// run twice, and both pipelines reach their end (S-86, S-103, S-237, S-317, S-340).
//
// PENSTOCK_MISHAPS says how often for each point; a point that is passed often is met at another
// time in each round.
func TestMishaps(t *testing.T) {
	t.Parallel()
	rounds := 1
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_MISHAPS")); err == nil {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d rounds, seed %d", rounds, seed)
	atOnce := make(chan bool, 3) // each has a server, git and a build
	for round := range rounds {
		for i, point := range mishap.Points {
			chance, when := rand.New(rand.NewPCG(seed, uint64(round*len(mishap.Points)+i))), 1
			switch point {
			case mishap.StoreCommit, mishap.StoreCommitted:
				when += chance.IntN(25)
			case mishap.JobClaimed, mishap.JobDone, mishap.JobReported, mishap.BlobWritten, mishap.ObjectStored, mishap.ObjectKept:
				when += chance.IntN(3)
			}
			t.Run(fmt.Sprintf("%s at time %d", point, when), func(t *testing.T) {
				t.Parallel()
				atOnce <- true
				defer func() { <-atOnce }()
				killedAt(t, point, when)
			})
		}
	}
}

func killedAt(t *testing.T, point mishap.Point, when int) {
	s := newSiteOn(t, newMishap(t))
	s.repository("app")
	s.project("app", "")
	s.bucket("target")
	c := s.clone("app")
	c.write("file", "one")
	c.write("buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - cp file built\nartifacts:\n  files:\n    - built\n")
	c.commit("one")
	c.must("push", "-q", "origin", "main")
	s.released()
	s.chained()

	s.stop()
	s.env = []string{fmt.Sprintf("PENSTOCK_MISHAP=%s %d", point, when)}
	s.start()
	died := false
	// revive starts the server again, for good, if it has killed itself.
	revive := func() {
		select {
		case <-s.mortal.ended:
			if died {
				t.Fatal("the server ended once more")
			}
			died, s.env = true, nil
			s.start()
			s.await()
		default:
		}
	}
	c.write("file", "two")
	commit := c.commit("two")
	within(t, patience, "an acknowledged push", func() bool {
		revive()
		_, err := c.git("push", "-q", "origin", "main")
		return err == nil
	})
	s.pipelines = codepipeline.NewFromConfig(s.config())
	approved := ""
	within(t, patience, "the end of both pipelines", func() bool {
		revive()
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		app, err1 := s.pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("app")})
		then, err2 := s.pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: new("then")})
		state, err3 := s.pipelines.GetPipelineState(ctx, &codepipeline.GetPipelineStateInput{Name: new("app")})
		if errors.Join(err1, err2, err3) != nil {
			return false
		}
		if a := state.StageStates[2].ActionStates[0].LatestExecution; a != nil && a.Token != nil && approved == "" {
			_, err := s.pipelines.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{PipelineName: new("app"), StageName: new("Gate"), ActionName: new("Ask"),
				Token: a.Token, Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: new("fine")}})
			if err == nil || code(err) == "ApprovalAlreadyCompletedException" {
				approved = aws.ToString(a.Token)
			}
		}
		ended := func(e types.PipelineExecutionSummary) bool {
			return e.Status != types.PipelineExecutionStatusInProgress
		}
		return died && len(then.PipelineExecutionSummaries) > 1 && ended(then.PipelineExecutionSummaries[0]) && ended(app.PipelineExecutionSummaries[0])
	})
	s.connect()
	executions := s.started("app", commit)
	if len(executions) != 1 || executions[0].Status != types.PipelineExecutionStatusSucceeded {
		t.Fatalf("the executions of the push: %+v", executions)
	}
	if n := len(s.executions("app")); n != 2 {
		t.Errorf("%d executions of two pushes", n)
	}
	if list := s.executions("then"); len(list) != 2 || list[0].Status != types.PipelineExecutionStatusSucceeded {
		t.Errorf("the other pipeline was started %d times: %+v", len(list), list)
	}
	out, err := s.pipelines.ListActionExecutions(t.Context(), &codepipeline.ListActionExecutionsInput{PipelineName: new("app"),
		Filter: &types.ActionExecutionFilter{PipelineExecutionId: executions[0].PipelineExecutionId}})
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, d := range out.ActionExecutionDetails {
		ran[*d.ActionName]++
		if d.Status != types.ActionExecutionStatusSucceeded {
			t.Errorf("%s is %s", *d.ActionName, d.Status)
		}
		if *d.ActionName == "Ask" && aws.ToString(d.Output.ExecutionResult.ExternalExecutionSummary) != "fine" {
			t.Errorf("the approval says %+v", d.Output.ExecutionResult)
		}
	}
	if want := map[string]int{"Source": 1, "Build": 1, "Ask": 1, "Publish": 1}; fmt.Sprint(ran) != fmt.Sprint(want) {
		t.Errorf("the actions ran %v times", ran)
	}
	if got := string(s.get("target", "built")); got != "two" {
		t.Errorf("released: %q", got)
	}
	s.onlyOneBuildSucceeded()
	s.mortal.stop()
}

// released makes the pipeline app, which waits for an approval, and sees its first execution to
// the end.
func (s *site) released() {
	s.t.Helper()
	s.bucket("elsewhere")
	_, err := s.pipelines.CreatePipeline(s.t.Context(), &codepipeline.CreatePipelineInput{Pipeline: &types.PipelineDeclaration{
		Name: new("app"), RoleArn: &s.role, ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: new("artifacts")},
		Stages: []types.StageDeclaration{
			{Name: new("Source"), Actions: []types.ActionDeclaration{action("Source", types.ActionCategorySource, "CodeCommit", "", "tree", "RepositoryName=app", "BranchName=main")}},
			{Name: new("Build"), Actions: []types.ActionDeclaration{action("Build", types.ActionCategoryBuild, "CodeBuild", "tree", "built", "ProjectName=app")}},
			{Name: new("Gate"), Actions: []types.ActionDeclaration{action("Ask", types.ActionCategoryApproval, "Manual", "", "")}},
			{Name: new("Deploy"), Actions: []types.ActionDeclaration{action("Publish", types.ActionCategoryDeploy, "S3", "built", "", "BucketName=target", "Extract=true")}},
		},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	within(s.t, patience, "an approval that waits", func() bool {
		state, err := s.pipelines.GetPipelineState(s.t.Context(), &codepipeline.GetPipelineStateInput{Name: new("app")})
		if err != nil {
			s.t.Fatal(err)
		}
		a := state.StageStates[2].ActionStates[0].LatestExecution
		if a == nil || a.Token == nil {
			return false
		}
		if _, err := s.pipelines.PutApprovalResult(s.t.Context(), &codepipeline.PutApprovalResultInput{PipelineName: new("app"), StageName: new("Gate"), ActionName: new("Ask"),
			Token: a.Token, Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: new("")}}); err != nil {
			s.t.Fatal(err)
		}
		return true
	})
	if e := s.ended("app", ""); e.Status != types.PipelineExecutionStatusSucceeded {
		s.t.Fatalf("the first execution is %s", e.Status)
	}
}

// chained makes the pipeline then, which a rule starts when one of app has succeeded.
func (s *site) chained() {
	s.t.Helper()
	s.put("sources", "then.zip", []byte("not looked into"))
	s.pipeline("then", action("Source", types.ActionCategorySource, "S3", "", "tree", "S3Bucket=sources", "S3ObjectKey=then.zip", "PollForSourceChanges=false"),
		action("Publish", types.ActionCategoryDeploy, "S3", "tree", "", "BucketName=elsewhere", "Extract=false", "ObjectKey=then.zip"))
	s.ended("then", "")
	roles := iam.NewFromConfig(s.config())
	role, err := roles.CreateRole(s.t.Context(), &iam.CreateRoleInput{RoleName: new("starter"), AssumeRolePolicyDocument: new(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := roles.PutRolePolicy(s.t.Context(), &iam.PutRolePolicyInput{RoleName: new("starter"), PolicyName: new("start"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codepipeline:StartPipelineExecution","Resource":"*"}]}`)}); err != nil {
		s.t.Fatal(err)
	}
	w := s.wire(s.t)
	for _, c := range []call{
		{target: "AWSEvents.PutRule", body: `{"Name":"released","EventPattern":"{\"source\":[\"aws.codepipeline\"],` +
			`\"detail-type\":[\"CodePipeline Pipeline Execution State Change\"],\"detail\":{\"pipeline\":[\"app\"],\"state\":[\"SUCCEEDED\"]}}"}`},
		{target: "AWSEvents.PutTargets", body: fmt.Sprintf(`{"Rule":"released","Targets":[{"Id":"then","Arn":"arn:aws:codepipeline:us-east-1:000000000000:then","RoleArn":%q}]}`, *role.Role.Arn)},
	} {
		c.service = "events"
		if a := w.send(c); a.status != 200 || strings.Contains(a.body, "ErrorCode") {
			s.t.Fatalf("%s: %d %s", c.target, a.status, a.body)
		}
	}
}

// onlyOneBuildSucceeded sees that of the builds of two pushes two have succeeded: one that was cut
// short may be followed by another.
func (s *site) onlyOneBuildSucceeded() {
	s.t.Helper()
	list, err := s.codebuild.ListBuildsForProject(s.t.Context(), &codebuild.ListBuildsForProjectInput{ProjectName: new("app")})
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.codebuild.BatchGetBuilds(s.t.Context(), &codebuild.BatchGetBuildsInput{Ids: list.Ids})
	if err != nil {
		s.t.Fatal(err)
	}
	succeeded := 0
	for _, b := range out.Builds {
		if b.BuildStatus == "SUCCEEDED" {
			succeeded++
		} else if b.BuildStatus != "FAULT" {
			s.t.Errorf("build %s is %s", *b.Id, b.BuildStatus)
		}
	}
	if succeeded != 2 {
		s.t.Errorf("%d builds of two pushes succeeded", succeeded)
	}
}

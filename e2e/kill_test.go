package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// killRole is the role of the pipelines.
const killRole = "killtest"

// TestKill kills the server at random moments while pipelines run whose work is done by
// custom-action workers, and starts it again on the same data folder. After the last
// restart everything that any server acknowledged must be true: executions that were
// started are there, once; answered jobs and approvals have ended as they were answered; no
// job was handed out again after it was acknowledged, and no action ran twice (S-302 to
// S-317, S-103, S-227).
//
// PENSTOCK_KILLS says how often; `make kill` does it 200 times.
func TestKill(t *testing.T) {
	t.Parallel()
	torment(t, []*mortal{newMortal(t)}, killCount(15), false, func(int) {})
}

// killCount is how often servers are killed: usually, or as PENSTOCK_KILLS says.
func killCount(usually int) int {
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_KILLS")); err == nil {
		return n
	}
	return usually
}

// torment is TestKill with one or more servers of one database, and with what else happens
// between kills. outages says that servers may be unable to answer although they run.
func torment(t *testing.T, servers []*mortal, kills int, outages bool, besides func(kill int)) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d kills, seed %d", kills, seed)
	// A start, a moment of work and an end take well under two seconds; what was handed out
	// to nobody comes again after 60 s, and continued actions rest for 30 s. A busy machine takes
	// several times as long.
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(kills)*6*time.Second+3*patience)
	defer cancel()
	var configs []aws.Config
	for _, m := range servers {
		m.start()
		m.await()
		configs = append(configs, m.config())
	}
	names := killPipelines(ctx, t, configs[0])
	l := newLedger()
	l.outages = outages
	actor := func(n uint64) *client {
		return &client{Client: codepipeline.NewFromConfig(configs[int(n)%len(configs)]), ledger: l, chance: rand.New(rand.NewPCG(seed, n))}
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var actors, resting sync.WaitGroup
	for i := range 6 {
		categories := []types.ActionCategory{types.ActionCategorySource, types.ActionCategoryBuild, types.ActionCategoryDeploy}
		actors.Go(func() { actor(uint64(i)).worker(working, categories[i/2%2:]) })
	}
	quiet := make(chan struct{})
	for i, name := range names {
		resting.Add(1)
		actors.Go(func() { actor(uint64(100+i)).drive(working, name, quiet, resting.Done) })
	}
	chance := rand.New(rand.NewPCG(seed, 1000))
	unready := 0
	for n := range kills {
		// Any moment from the start of the process on: also while it opens its files.
		pause(ctx, time.Duration(chance.ExpFloat64()*float64(250*time.Millisecond)))
		m := servers[n%len(servers)]
		select {
		case <-m.ready:
		default:
			unready++
		}
		m.kill()
		m.start()
		besides(n)
	}
	for _, m := range servers {
		if outages {
			m.insist()
		}
		m.await()
	}
	close(quiet)
	ended := make(chan struct{})
	go func() {
		resting.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("executions did not end after the last restart")
	}
	checker := actor(2000)
	idle(ctx, t, checker)
	stop()
	actors.Wait()
	total := 0
	for _, name := range names { // nobody else writes into the ledger any more
		total += checkPipeline(ctx, t, checker, l, name)
	}
	for _, p := range l.problems {
		t.Error(p)
	}
	t.Logf("%d kills, %d of them before the server was ready; %d executions, %d answered jobs, %d answered approvals, %d retries, %d lost answers",
		kills, unready, total, l.answered, len(l.approvals), len(l.retries), l.lost)
	for _, m := range servers {
		m.stop()
	}
}

// idle makes sure that no job is left to hand out.
func idle(ctx context.Context, t *testing.T, c *client) {
	t.Helper()
	for _, category := range []types.ActionCategory{types.ActionCategorySource, types.ActionCategoryBuild, types.ActionCategoryDeploy} {
		var out *codepipeline.PollForJobsOutput
		_, err := c.persist(ctx, func(ctx context.Context) (err error) {
			out, err = c.PollForJobs(ctx, &codepipeline.PollForJobsInput{MaxBatchSize: new(int32(10)),
				ActionTypeId: &types.ActionTypeId{Category: category, Owner: types.ActionOwnerCustom, Provider: new("Killtest"), Version: new("1")}})
			return err
		})
		if err != nil || len(out.Jobs) > 0 {
			t.Errorf("jobs at the end: %v %v", out, err)
		}
	}
}

// killPipelines makes two pipelines of each execution mode.
func killPipelines(ctx context.Context, t *testing.T, cfg aws.Config) (names []string) {
	t.Helper()
	role, err := iam.NewFromConfig(cfg).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(killRole), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codepipeline.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	bucket := &s3.CreateBucketInput{Bucket: aws.String("killtest-artifacts")}
	if cfg.Region != "us-east-1" {
		bucket.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(cfg.Region)}
	}
	if _, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	c := codepipeline.NewFromConfig(cfg)
	for _, category := range []types.ActionCategory{types.ActionCategorySource, types.ActionCategoryBuild, types.ActionCategoryDeploy} {
		artifacts := &types.ArtifactDetails{MinimumCount: 0, MaximumCount: 5}
		in := artifacts
		if category == types.ActionCategorySource {
			in = &types.ArtifactDetails{}
		}
		if _, err := c.CreateCustomActionType(ctx, &codepipeline.CreateCustomActionTypeInput{Category: category, Provider: new("Killtest"), Version: new("1"),
			InputArtifactDetails: in, OutputArtifactDetails: artifacts}); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range types.ExecutionMode("").Values() {
		for n := range 2 {
			name := strings.ToLower(string(mode)) + strconv.Itoa(n)
			names = append(names, name)
			if _, err := c.CreatePipeline(ctx, &codepipeline.CreatePipelineInput{Pipeline: killDefinition(name, aws.ToString(role.Role.Arn), mode)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return names
}

// killDefinition has actions one after the other, side by side and, where its token can be
// had from the state, an approval.
func killDefinition(name, role string, mode types.ExecutionMode) *types.PipelineDeclaration {
	act := func(category types.ActionCategory, name string, order int32) types.ActionDeclaration {
		a := types.ActionDeclaration{Name: &name, RunOrder: &order,
			ActionTypeId: &types.ActionTypeId{Category: category, Owner: types.ActionOwnerCustom, Provider: new("Killtest"), Version: new("1")}}
		if category == types.ActionCategorySource {
			a.OutputArtifacts = []types.OutputArtifact{{Name: new("source")}}
		} else {
			a.InputArtifacts = []types.InputArtifact{{Name: new("source")}}
		}
		return a
	}
	d := &types.PipelineDeclaration{Name: &name, RoleArn: &role, ExecutionMode: mode, PipelineType: types.PipelineTypeV2,
		ArtifactStore: &types.ArtifactStore{Type: types.ArtifactStoreTypeS3, Location: new("killtest-artifacts")},
		Stages: []types.StageDeclaration{
			{Name: new("Source"), Actions: []types.ActionDeclaration{act(types.ActionCategorySource, "Get", 1)}},
			{Name: new("Build"), Actions: []types.ActionDeclaration{act(types.ActionCategoryBuild, "Make", 1), act(types.ActionCategoryBuild, "Lint", 1), act(types.ActionCategoryBuild, "Pack", 2)}},
			{Name: new("Ship"), Actions: []types.ActionDeclaration{act(types.ActionCategoryDeploy, "Ship", 1)}},
		}}
	if mode != types.ExecutionModeParallel {
		d.Stages = slices.Insert(d.Stages, 2, types.StageDeclaration{Name: new("Gate"), Actions: []types.ActionDeclaration{{Name: new("Ask"), RunOrder: new(int32(1)),
			ActionTypeId: &types.ActionTypeId{Category: types.ActionCategoryApproval, Owner: types.ActionOwnerAws, Provider: new("Manual"), Version: new("1")}}}})
	}
	return d
}

// checkPipeline holds what the server says of a pipeline against the ledger, and counts its
// executions.
func checkPipeline(ctx context.Context, t *testing.T, c *client, l *ledger, name string) int {
	t.Helper()
	executions := map[string]types.PipelineExecutionSummary{}
	list, err := c.executions(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		executions[aws.ToString(e.PipelineExecutionId)] = e
	}
	for id := range l.started[name] {
		if _, ok := executions[id]; !ok {
			t.Errorf("%s: the execution %s was started and is not there", name, id)
		}
	}
	if want := len(l.started[name]) + 1; len(executions) != want { // S-103: a repeated call starts nothing
		t.Errorf("%s: %d executions, %d were started", name, len(executions), want)
	}
	runs := map[string][]types.ActionExecutionDetail{} // newest first
	for in := (&codepipeline.ListActionExecutionsInput{PipelineName: &name}); ; {
		var page *codepipeline.ListActionExecutionsOutput
		if _, err := c.persist(ctx, func(ctx context.Context) (err error) {
			page, err = c.ListActionExecutions(ctx, in)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.ActionExecutionDetails {
			id := aws.ToString(r.PipelineExecutionId)
			runs[id] = append(runs[id], r)
			if problem := checkRun(l, r); problem != "" {
				t.Errorf("%s: action %s of execution %s: %s", name, aws.ToString(r.ActionName), id, problem)
			}
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	for id, e := range executions {
		if problem := checkExecution(l, e, runs[id]); problem != "" {
			t.Errorf("%s: execution %s is %s: %s", name, id, e.Status, problem)
		}
	}
	return len(executions)
}

// checkRun says how a run differs from the answers to its jobs, or nothing.
func checkRun(l *ledger, r types.ActionExecutionDetail) string {
	id, got := aws.ToString(r.ActionExecutionId), r.Output.ExecutionResult
	said := string(r.Status) + " " + aws.ToString(got.ExternalExecutionSummary)
	if r.Input.ActionTypeId.Category == types.ActionCategoryApproval {
		answer, ok := l.approvals[id]
		want := strings.Replace(strings.Replace(answer, "Approved", "Succeeded", 1), "Rejected", "Failed", 1)
		if !ok || want != said {
			return fmt.Sprintf("it says %q and was answered %q", said, answer)
		}
		return ""
	}
	jobs := l.actions[id]
	if len(jobs) == 0 {
		return said + " without a job"
	}
	for i, job := range jobs {
		if !job.owned || job.answer == "" || (job.answer == "continued") != (i < len(jobs)-1) {
			return fmt.Sprintf("job %d of %d, %s, was answered %q", i+1, len(jobs), job.id, job.answer)
		}
	}
	last := jobs[len(jobs)-1]
	if last.answer == "failed" {
		if r.Status != types.ActionExecutionStatusFailed || got.ErrorDetails == nil || aws.ToString(got.ErrorDetails.Message) != "failure of "+last.id {
			return "its job failed and it is " + said
		}
	} else if said != "Succeeded done by "+last.id {
		return fmt.Sprintf("job %s succeeded and it says %q", last.id, said)
	}
	return ""
}

// checkExecution says what is wrong with the end of an execution, or nothing.
func checkExecution(l *ledger, e types.PipelineExecutionSummary, runs []types.ActionExecutionDetail) string {
	latest, failures, most := map[string]types.ActionExecutionStatus{}, 0, map[string]int{}
	for _, r := range runs { // newest first
		name := aws.ToString(r.ActionName)
		if _, later := latest[name]; !later {
			latest[name] = r.Status
		}
		if r.Status == types.ActionExecutionStatusFailed {
			failures++
		}
		most[name]++
	}
	for name, n := range most {
		if n > 1+l.retries[aws.ToString(e.PipelineExecutionId)] {
			return fmt.Sprintf("action %s ran %d times", name, n)
		}
	}
	failed, succeeded := 0, 0
	for _, status := range latest {
		switch status {
		case types.ActionExecutionStatusSucceeded:
			succeeded++
		case types.ActionExecutionStatusFailed:
			failed++
		}
	}
	all := 6
	if e.ExecutionMode == types.ExecutionModeParallel {
		all = 5
	}
	switch e.Status {
	case types.PipelineExecutionStatusSucceeded:
		if succeeded != all {
			return fmt.Sprintf("%d of %d actions succeeded", succeeded, all)
		}
	case types.PipelineExecutionStatusFailed:
		if failed == 0 {
			return "no action failed"
		}
	case types.PipelineExecutionStatusSuperseded:
		if failed > 0 || succeeded == all || e.ExecutionMode != types.ExecutionModeSuperseded {
			return fmt.Sprintf("in mode %s, %d actions failed and %d succeeded", e.ExecutionMode, failed, succeeded)
		}
	default:
		return "it has not ended"
	}
	return ""
}

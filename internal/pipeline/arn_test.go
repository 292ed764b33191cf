package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/fault"
)

const account = "111122223333"

func TestARNs(t *testing.T) {
	t.Parallel()
	worker := ActionTypeID{CategoryBuild, OwnerCustom, "Jenkins-1", "1"}
	head := Resource{Partition: "aws", Region: region, Account: account}
	with := func(change func(*Resource)) Resource { r := head; change(&r); return r }
	for name, c := range map[string]struct {
		built string
		text  string
		want  Resource
	}{
		"S-356 pipeline": {PipelineARN(region, account, "my.pipe@1"), "arn:aws:codepipeline:us-east-1:111122223333:my.pipe@1",
			with(func(r *Resource) { r.Kind, r.Pipeline = PipelineResource, "my.pipe@1" })},
		"S-357 stage": {StageARN(region, account, "p", "Build"), "arn:aws:codepipeline:us-east-1:111122223333:p/Build",
			with(func(r *Resource) { r.Kind, r.Pipeline, r.Stage = StageResource, "p", "Build" })},
		"S-358 action": {StageARN(region, account, "p", "Build") + "/Go", "arn:aws:codepipeline:us-east-1:111122223333:p/Build/Go",
			with(func(r *Resource) { r.Kind, r.Pipeline, r.Stage, r.Action = ActionResource, "p", "Build", "Go" })},
		"S-359 action type": {ActionTypeARN(region, account, worker), "arn:aws:codepipeline:us-east-1:111122223333:actiontype:Custom/Build/Jenkins-1/1",
			with(func(r *Resource) { r.Kind, r.ActionType = ActionTypeResource, worker })},
		"S-360 webhook": {WebhookARN(region, account, "hook"), "arn:aws:codepipeline:us-east-1:111122223333:webhook:hook",
			with(func(r *Resource) { r.Kind, r.Webhook = WebhookResource, "hook" })},
		"S-356 pipeline named like another kind": {PipelineARN(region, account, "webhook"), "arn:aws:codepipeline:us-east-1:111122223333:webhook",
			with(func(r *Resource) { r.Kind, r.Pipeline = PipelineResource, "webhook" })},
		"S-356 partition": {PipelineARN("cn-north-1", account, "p"), "arn:aws-cn:codepipeline:cn-north-1:111122223333:p",
			Resource{Kind: PipelineResource, Partition: "aws-cn", Region: "cn-north-1", Account: account, Pipeline: "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.built != c.text {
				t.Errorf("built %s, want %s", c.built, c.text)
			}
			got, err := ParseARN(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if got.ARN() != c.text {
				t.Errorf("back to %s", got.ARN())
			}
			if taggable := got.Kind != StageResource && got.Kind != ActionResource; got.Taggable() != taggable {
				t.Errorf("S-361: taggable %v", got.Taggable())
			}
		})
	}
}

// S-359, A-24: what guides and tools write is taken, what comes out is one spelling.
func TestParseARNIsLenientWithActionTypes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"arn:aws:codepipeline:us-east-1:111122223333:actionType:custom/Build/Jenkins/1": "arn:aws:codepipeline:us-east-1:111122223333:actiontype:Custom/Build/Jenkins/1",
		"arn:aws:codepipeline:us-east-1::actiontype:Custom/Build/Jenkins/1":             "arn:aws:codepipeline:us-east-1::actiontype:Custom/Build/Jenkins/1",
	} {
		if r, err := ParseARN(in); err != nil || r.ARN() != want {
			t.Errorf("%s: %s, %v", in, r.ARN(), err)
		}
	}
}

// S-363: anything else is an InvalidArnException.
func TestParseARNRefuses(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{
		"", "arn", "p", ":::::", "arn:aws:codepipeline:us-east-1:111122223333",
		"arn:aws:codepipeline:us-east-1:111122223333:",
		"arn:aws:s3:us-east-1:111122223333:p", "urn:aws:codepipeline:us-east-1:111122223333:p", "arn:other:codepipeline:us-east-1:111122223333:p",
		"arn:aws:codepipeline::111122223333:p", "arn:aws:codepipeline:us-east-1::p", "arn:aws:codepipeline:us-east-1:1234:p",
		"arn:aws:codepipeline:us-east-1:111122223333:p/s/a/x", "arn:aws:codepipeline:us-east-1:111122223333:p//a", "arn:aws:codepipeline:us-east-1:111122223333:p/..x/ ",
		"arn:aws:codepipeline:us-east-1:111122223333:p:s", "arn:aws:codepipeline:us-east-1:111122223333:webhook:",
		"arn:aws:codepipeline:us-east-1:111122223333:actiontype:Custom/Build/Jenkins", "arn:aws:codepipeline:us-east-1:111122223333:actiontype:Nobody/Build/Jenkins/1",
		"arn:aws:codepipeline:us-east-1::webhook:h", "arn:aws:codepipeline:us-east-1:111122223333:p\n", "arn:aws:codepipeline:us-east-1:111122223333:" + strings.Repeat("p", 101),
		strings.Repeat("arn:", 100000), "arn:aws:codepipeline:us-east-1:111122223333:" + strings.Repeat("/", 100000),
	} {
		if r, err := ParseARN(arn); fault.Code(err) != "InvalidArnException" || len(err.Error()) > 1000 || r != (Resource{}) {
			t.Errorf("%.80q: %v, %v", arn, r, err)
		}
	}
}

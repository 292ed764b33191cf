package codepipeline

import (
	"context"
	"strings"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/pipeline"
)

func disable(name, stage, direction string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.DisableStageTransition(s.ctx, &api.DisableStageTransitionInput{PipelineName: name, StageName: stage, TransitionType: direction, Reason: "why"}))
	}
}

func enable(name, stage, direction string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.EnableStageTransition(s.ctx, &api.EnableStageTransitionInput{PipelineName: name, StageName: stage, TransitionType: direction}))
	}
}

func revise(name, stage, action string) func(*scene) error {
	return func(s *scene) error {
		return drop(s.PutActionRevision(s.ctx, &api.PutActionRevisionInput{PipelineName: name, StageName: stage, ActionName: action,
			ActionRevision: &api.ActionRevision{RevisionId: "new", RevisionChangeId: "c"}}))
	}
}

// S-98…S-103, S-105, S-154, S-155: what cannot be started, told or closed.
func TestRefusedStartsAndGates(t *testing.T) {
	play(t, pipeline.Limits{}, func(s *scene) {
		s.two(func(d *api.PipelineDeclaration) {
			d.Stages[0].Actions = append(d.Stages[0].Actions, api.ActionDeclaration{Name: "Object", ActionTypeId: &api.ActionTypeId{Category: "Source", Owner: "AWS", Provider: "S3", Version: "1"},
				Configuration: map[string]string{"S3Bucket": "b", "S3ObjectKey": "k"}, OutputArtifacts: []api.OutputArtifact{{Name: "object"}}})
			d.Variables = []api.PipelineVariableDeclaration{{Name: "color"}}
		})
		const wrong = "ValidationException"
		color := []api.PipelineVariable{{Name: "color", Value: "red"}}
		with := func(o ...api.SourceRevisionOverride) func(*scene) error {
			return run(&api.StartPipelineExecutionInput{Name: "p", Variables: color, SourceRevisions: o, ClientRequestToken: "t"})
		}
		version := api.SourceRevisionOverride{ActionName: "Object", RevisionType: "S3_OBJECT_VERSION_ID", RevisionValue: "v"}
		s.refuse(
			refusal{"S-88", run(&api.StartPipelineExecutionInput{Name: "q", ClientRequestToken: "t"}), "PipelineNotFoundException", noPipeline},
			refusal{"S-98", with(api.SourceRevisionOverride{ActionName: "Make", RevisionType: "COMMIT_ID", RevisionValue: "v"}), wrong, "The pipeline 'p' does not have a source action with name 'Make'"},
			refusal{"S-99", with(api.SourceRevisionOverride{ActionName: "Object", RevisionType: "COMMIT_ID", RevisionValue: "v"}), wrong, "The revision type 'COMMIT_ID' does not fit the source action 'Object' of provider S3"},
			refusal{"S-99 custom", with(api.SourceRevisionOverride{ActionName: "Get", RevisionType: "COMMIT_ID", RevisionValue: "v"}), wrong, "The revision type 'COMMIT_ID' does not fit the source action 'Get' of provider Worker"},
			refusal{"S-99 twice", with(version, version), wrong, "The source action 'Object' has more than one override of type S3_OBJECT_VERSION_ID"},
			refusal{"S-100", with(api.SourceRevisionOverride{ActionName: "Object", RevisionType: "S3_OBJECT_KEY", RevisionValue: "v"}), wrong,
				"The source action 'Object' does not allow S3_OBJECT_KEY: set its configuration AllowOverrideForS3ObjectKey to true"},
			refusal{"S-102 missing", run(&api.StartPipelineExecutionInput{Name: "p", ClientRequestToken: "t"}), wrong, "The variable 'color' has no default value and must be given when the pipeline 'p' is started"},
			refusal{"S-102 unknown", run(&api.StartPipelineExecutionInput{Name: "p", Variables: append(color, api.PipelineVariable{Name: "size", Value: "1"})}), wrong,
				"The pipeline 'p' does not declare a variable with name 'size'"},
			refusal{"S-102 twice", run(&api.StartPipelineExecutionInput{Name: "p", Variables: append(color, color...)}), wrong, "The variable 'color' is given more than once"},
			refusal{"S-105 pipeline", revise("q", "Source", "Get"), "PipelineNotFoundException", noPipeline},
			refusal{"S-105 stage", revise("p", "X", "Get"), "StageNotFoundException", noStage},
			refusal{"S-105 action", revise("p", "Source", "X"), "ActionNotFoundException", "The stage 'Source' of pipeline 'p' does not have an action with name 'X'"},
			refusal{"S-105 no source", revise("p", "Build", "Make"), wrong, "Revisions can only be reported for source actions of custom types; the action 'Make' is of the type Build/Custom/Worker. " +
				"Use StartPipelineExecution, with sourceRevisions to choose one."},
			refusal{"S-154 pipeline", disable("q", "Build", "Inbound"), "PipelineNotFoundException", noPipeline},
			refusal{"S-154 stage", disable("p", "X", "Inbound"), "StageNotFoundException", noStage},
			refusal{"S-155 last", disable("p", "Build", "Outbound"), wrong, "The stage 'Build' is the last stage of pipeline 'p' and has no outbound transition"},
			refusal{"S-154 pipeline", enable("q", "Build", "Inbound"), "PipelineNotFoundException", noPipeline},
			refusal{"S-154 stage", enable("p", "X", "Outbound"), "StageNotFoundException", noStage},
			refusal{"S-155 last", enable("p", "Build", "Outbound"), wrong, "The stage 'Build' is the last stage of pipeline 'p' and has no outbound transition"},
		)
		must(s.world, 0, run(&api.StartPipelineExecutionInput{Name: "p", Variables: color, ClientRequestToken: "t"})(s))
		s.refuse(refusal{"S-103", with(version), "ConflictException", "The clientRequestToken 't' was used before with other arguments"})
	})
	t.Run("V1", func(t *testing.T) {
		play(t, pipeline.Limits{}, func(s *scene) {
			s.create("p")
			s.refuse(refusal{"S-101", run(&api.StartPipelineExecutionInput{Name: "p", SourceRevisions: []api.SourceRevisionOverride{{ActionName: "Get", RevisionType: "COMMIT_ID", RevisionValue: "v"}}}),
				"ValidationException", "Source revision overrides can only be used with V2 pipelines"})
		})
	})
}

// S-227: no answer that is refused leaves a trace.
func TestRefusedApprovals(t *testing.T) {
	play(t, pipeline.Limits{}, func(s *scene) {
		s.create("p")
		s.work("Source", "get", map[string]string{"commit": "abc"})
		s.work("Build", "make", nil)
		token := s.state("p").StageStates[2].ActionStates[0].LatestExecution.Token
		answer := func(name, stage, action, token, status string) func(*scene) error {
			return func(s *scene) error {
				return drop(s.PutApprovalResult(s.ctx, &api.PutApprovalResultInput{PipelineName: name, StageName: stage, ActionName: action, Token: token, Result: &api.ApprovalResult{Status: status, Summary: "said"}}))
			}
		}
		const invalid = "The approval token is unknown, has expired or belongs to an earlier request of action 'Approve'"
		s.refuse(
			refusal{"S-227 pipeline", answer("q", "Release", "Approve", token, "Approved"), "PipelineNotFoundException", noPipeline},
			refusal{"S-227 stage", answer("p", "X", "Approve", token, "Approved"), "StageNotFoundException", noStage},
			refusal{"S-227 action", answer("p", "Release", "X", token, "Rejected"), "ActionNotFoundException", "The stage 'Release' of pipeline 'p' does not have an action with name 'X'"},
			refusal{"S-227 token", answer("p", "Release", "Approve", nobody, "Approved"), "InvalidApprovalTokenException", invalid},
		)
		must(s.world, 0, answer("p", "Release", "Approve", token, "Rejected")(s))
		s.refuse(refusal{"S-227 answered", answer("p", "Release", "Approve", token, "Approved"), "ApprovalAlreadyCompletedException", "The approval of action 'Approve' in stage 'Release' has already been answered"})
		s.ids["e1"] = s.state("p").StageStates[2].LatestExecution.PipelineExecutionId
		must(s.world, 0, retry("p", "Release", "e1", "FAILED_ACTIONS")(s))
		s.refuse(refusal{"S-227 earlier request", answer("p", "Release", "Approve", token, "Approved"), "InvalidApprovalTokenException", invalid})
	})
}

// S-279, S-304, S-305, S-307, S-312, S-315, S-318, S-319: no refused word about a job changes it.
func TestRefusedJobs(t *testing.T) {
	play(t, pipeline.Limits{OutputVariablesBytes: 10}, func(s *scene) {
		partner := s.thirdParty()
		scan := s.pollThirdParty(partner)[0].JobId
		id := func(category, owner, provider string) *api.ActionTypeId {
			return &api.ActionTypeId{Category: category, Owner: owner, Provider: provider, Version: "1"}
		}
		poll := func(typ *api.ActionTypeId, param map[string]string) func(*scene) error {
			return func(s *scene) error {
				return drop(s.PollForJobs(s.ctx, &api.PollForJobsInput{ActionTypeId: typ, QueryParam: param}))
			}
		}
		pollParty := func(ctx context.Context, typ *api.ActionTypeId) func(*scene) error {
			return func(s *scene) error {
				return drop(s.PollForThirdPartyJobs(ctx, &api.PollForThirdPartyJobsInput{ActionTypeId: typ}))
			}
		}
		acknowledge := func(id, nonce string) func(*scene) error {
			return func(s *scene) error {
				return drop(s.AcknowledgeJob(s.ctx, &api.AcknowledgeJobInput{JobId: id, Nonce: nonce}))
			}
		}
		succeed := func(in *api.PutJobSuccessResultInput) func(*scene) error {
			return func(s *scene) error { return drop(s.PutJobSuccessResult(s.ctx, in)) }
		}
		fail := func(id string) func(*scene) error {
			return func(s *scene) error {
				return drop(s.PutJobFailureResult(s.ctx, &api.PutJobFailureResultInput{JobId: id, FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}}))
			}
		}
		const wrong, unknown, state = "ValidationException", "JobNotFoundException", "InvalidJobStateException"
		const mustAsk = "The queryParam must give the queryable property 'job' of the action type"
		stranger := "The client token is not that of the client to which the job " + scan + " was handed"
		s.execute("p") // whose source job waits
		s.refuse(
			refusal{"S-304 owner", poll(id("Source", "AWS", "S3"), nil), wrong, "Jobs can only be polled for action types with owner Custom, not 'AWS'"},
			refusal{"S-304 type", poll(id("Source", "Custom", "Nobody"), nil), "ActionTypeNotFoundException",
				"The action type (Category: 'Source', Provider: 'Nobody', Owner: 'Custom', Version: '1') does not exist"},
			refusal{"S-305 missing", poll(id("Source", "Custom", "Worker"), nil), wrong, mustAsk},
			refusal{"S-305 another", poll(id("Source", "Custom", "Worker"), map[string]string{"password": "get"}), wrong, mustAsk},
			refusal{"S-318 owner", pollParty(partner, id("Source", "Custom", "Worker")), wrong, "Jobs of third parties can only be polled for action types with owner ThirdParty, not 'Custom'"},
			refusal{"S-318 type", pollParty(partner, id("Test", "ThirdParty", "Nobody")), "ActionTypeNotFoundException",
				"The action type (Category: 'Test', Provider: 'Nobody', Owner: 'ThirdParty', Version: '1') does not exist"},
			refusal{"S-319 no client", pollParty(s.ctx, id("Test", "ThirdParty", "Scanner")), wrong, "Jobs of third parties are handed to users with a client id and token. Make a pair for this user: " +
				"aws iam create-service-specific-credential --service-name codepipeline.amazonaws.com --user-name NAME"},
			refusal{"S-307 unknown", acknowledge(nobody, "n"), unknown, "There is no job with id '" + nobody + "'"},
			refusal{"S-315 unknown", succeed(&api.PutJobSuccessResultInput{JobId: nobody}), unknown, "There is no job with id '" + nobody + "'"},
			refusal{"S-315 unknown", fail(nobody), unknown, "There is no job with id '" + nobody + "'"},
			refusal{"S-315 of a third party", fail(scan), unknown, "There is no job with id '" + scan + "'"},
			refusal{"S-319 acknowledge", func(s *scene) error {
				return drop(s.AcknowledgeThirdPartyJob(partner, &api.AcknowledgeThirdPartyJobInput{JobId: scan, Nonce: "n", ClientToken: "guess"}))
			}, "InvalidClientTokenException", stranger},
			refusal{"S-307 third party", func(s *scene) error {
				return drop(s.AcknowledgeThirdPartyJob(partner, &api.AcknowledgeThirdPartyJobInput{JobId: scan, Nonce: "guess", ClientToken: secretToken}))
			}, "InvalidNonceException", "The nonce is not the one the job " + scan + " was last handed out with, or the job was claimed already"},
			refusal{"S-319 success", func(s *scene) error {
				return drop(s.PutThirdPartyJobSuccessResult(partner, &api.PutThirdPartyJobSuccessResultInput{JobId: scan, ClientToken: "guess"}))
			}, "InvalidClientTokenException", stranger},
			refusal{"S-319 failure", func(s *scene) error {
				return drop(s.PutThirdPartyJobFailureResult(partner, &api.PutThirdPartyJobFailureResultInput{JobId: scan, ClientToken: "guess", FailureDetails: &api.FailureDetails{Type: "JobFailed", Message: "no"}}))
			}, "InvalidClientTokenException", stranger},
			refusal{"S-315 third party", func(s *scene) error {
				return drop(s.PutThirdPartyJobSuccessResult(partner, &api.PutThirdPartyJobSuccessResultInput{JobId: scan, ClientToken: secretToken}))
			}, state, "The job " + scan + " is Dispatched; a result is taken only from a job that was acknowledged and is in progress"},
		)
		job := s.poll("Source", "get")
		s.ids["J"] = job.Id
		const notTaken = "; a result is taken only from a job that was acknowledged and is in progress"
		s.refuse(
			refusal{"S-307 nonce", acknowledge(job.Id, "guess"), "InvalidNonceException", "The nonce is not the one the job J was last handed out with, or the job was claimed already"},
			refusal{"S-315 not acknowledged", succeed(&api.PutJobSuccessResultInput{JobId: job.Id}), state, "The job J is Dispatched" + notTaken},
			refusal{"S-315 not acknowledged", fail(job.Id), state, "The job J is Dispatched" + notTaken},
		)
		s.acknowledge(job)
		s.refuse(
			refusal{"S-307 used", acknowledge(job.Id, job.Nonce), "InvalidNonceException", "The nonce is not the one the job J was last handed out with, or the job was claimed already"},
			refusal{"S-312", succeed(&api.PutJobSuccessResultInput{JobId: job.Id, ContinuationToken: "t", OutputVariables: map[string]string{"k": "v"}}), wrong,
				"outputVariables can only be given with the last job of an action, not together with a continuationToken"},
			refusal{"S-79 S-279", succeed(&api.PutJobSuccessResultInput{JobId: job.Id, OutputVariables: map[string]string{"k": "0123456789"}}), "OutputVariablesSizeExceededException",
				"The output variables of action 'Get' have 11 bytes; at most 10 are allowed"},
		)
		must(s.world, 0, succeed(&api.PutJobSuccessResultInput{JobId: job.Id})(s))
		s.refuse(
			refusal{"S-315 ended", succeed(&api.PutJobSuccessResultInput{JobId: job.Id}), state, "The job J is Succeeded" + notTaken},
			refusal{"S-315 ended", fail(job.Id), state, "The job J is Succeeded" + notTaken},
		)
		late := s.execute("p")
		job = s.poll("Source", "get")
		s.acknowledge(job)
		s.ids["J"], s.ids["late"] = job.Id, late
		must(s.world, 0, stop("p", "late", true)(s))
		s.refuse(refusal{"S-194 S-315 abandoned", succeed(&api.PutJobSuccessResultInput{JobId: job.Id}), state, "The job J is Failed" + notTaken})
		must(s.world, 0, drop(s.DeleteCustomActionType(s.ctx, &api.DeleteCustomActionTypeInput{Category: "Source", Provider: "Worker", Version: "1"})))
		s.refuse(refusal{"S-300 deleted", poll(id("Source", "Custom", "Worker"), map[string]string{"job": "get"}), "ActionTypeNotFoundException",
			"The action type (Category: 'Source', Provider: 'Worker', Owner: 'Custom', Version: '1') does not exist"})
	})
}

// S-248…S-254, S-297…S-301, S-361…S-363, S-61: hooks, action types and tags.
func TestRefusedHooksTypesAndTags(t *testing.T) {
	play(t, pipeline.Limits{Webhooks: 1, CustomActionTypes: 3, Tags: 2}, func(s *scene) {
		s.create("p")
		s.put(hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{}, api.WebhookFilterRule{JsonPath: "$.ref"}))
		hook := func(in *api.PutWebhookInput, edit func(*api.WebhookDefinition)) func(*scene) error {
			if edit != nil {
				edit(in.Webhook)
			}
			return func(s *scene) error { return drop(s.PutWebhook(s.ctx, in)) }
		}
		open := func(name string) *api.PutWebhookInput {
			return hookDefinition(name, "UNAUTHENTICATED", api.WebhookAuthConfiguration{}, api.WebhookFilterRule{JsonPath: "$.ref"})
		}
		typed := func(edit func(*api.CreateCustomActionTypeInput)) func(*scene) error {
			in := &api.CreateCustomActionTypeInput{Category: "Build", Provider: "Other", Version: "1", InputArtifactDetails: &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(1))},
				OutputArtifactDetails: &api.ArtifactDetails{MinimumCount: new(int32(0)), MaximumCount: new(int32(1))}}
			edit(in)
			return func(s *scene) error { return drop(s.CreateCustomActionType(s.ctx, in)) }
		}
		tag := func(arn string, tags ...api.Tag) func(*scene) error {
			return func(s *scene) error {
				return drop(s.TagResource(s.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: tags}))
			}
		}
		untag := func(arn, key string) func(*scene) error {
			return func(s *scene) error {
				return drop(s.UntagResource(s.ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{key}}))
			}
		}
		must(s.world, 0, drop(s.UpdateActionType(s.ctx, &api.UpdateActionTypeInput{ActionType: scanner()})))
		strict := scanner()
		strict.Properties[1].Optional = new(false)
		const auths, wrong, tags = "InvalidWebhookAuthenticationParametersException", "ValidationException", "InvalidTagsException"
		const arn = "arn:aws:codepipeline:eu-west-1:111111111111:p"
		s.refuse(
			refusal{"S-248 pipeline", hook(open("h"), func(d *api.WebhookDefinition) { d.TargetPipeline = "q" }), "PipelineNotFoundException", noPipeline},
			refusal{"S-248 action", hook(open("h"), func(d *api.WebhookDefinition) { d.TargetAction = "Make" }), wrong, "The pipeline 'p' does not have a source action with name 'Make'"},
			refusal{"S-249 HMAC", hook(hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{}), nil), auths, "Optional['authenticationConfig' should contain only one property: 'SecretToken']"},
			refusal{"S-249 IP", hook(hookDefinition("h", "IP", api.WebhookAuthConfiguration{SecretToken: "s"}), nil), auths, "Optional['authenticationConfig' should contain only one property: 'AllowedIPRange']"},
			refusal{"S-249 range", hook(hookDefinition("h", "IP", api.WebhookAuthConfiguration{AllowedIPRange: "10/8"}), nil), auths, "The AllowedIPRange '10/8' is not a CIDR block"},
			refusal{"S-249 none", hook(hookDefinition("h", "UNAUTHENTICATED", api.WebhookAuthConfiguration{SecretToken: "s"}), nil), auths, "Optional['authenticationConfig' should be empty]"},
			refusal{"S-252 mask", hook(hookDefinition("h", "GITHUB_HMAC", api.WebhookAuthConfiguration{SecretToken: "****"}), nil), auths,
				"The SecretToken is the mask '****', but no secret is stored for the webhook 'h'. Supply the value."},
			refusal{"S-61 S-72", hook(open("second"), nil), "LimitExceededException", "The account '111111111111' already has 1 webhooks in the region eu-west-1, which is the limit"},
			refusal{"S-254 unknown", func(s *scene) error {
				return drop(s.RegisterWebhookWithThirdParty(s.ctx, &api.RegisterWebhookWithThirdPartyInput{WebhookName: "x"}))
			}, "WebhookNotFoundException", "Account '111111111111' does not have a webhook with name 'x'"},
			refusal{"S-254 unknown", func(s *scene) error {
				return drop(s.DeregisterWebhookWithThirdParty(s.ctx, &api.DeregisterWebhookWithThirdPartyInput{WebhookName: "x"}))
			}, "WebhookNotFoundException", "Account '111111111111' does not have a webhook with name 'x'"},
			refusal{"S-254 no GitHub", func(s *scene) error {
				return drop(s.RegisterWebhookWithThirdParty(s.ctx, &api.RegisterWebhookWithThirdPartyInput{WebhookName: "h"}))
			}, wrong, "The webhook 'h' does not target a source action of GitHub (version 1), so there is nowhere to register it"},
			refusal{"S-61 S-73", typed(func(*api.CreateCustomActionTypeInput) {}), "LimitExceededException", "The account '111111111111' already has 3 custom action types in the region eu-west-1, which is the limit"},
			refusal{"S-297 M-30", typed(func(in *api.CreateCustomActionTypeInput) { in.InputArtifactDetails.MinimumCount = new(int32(2)) }), wrong,
				"Maximum Number of Artifacts (1) has to be greater than or equal to minimum (2)."},
			refusal{"S-298 M-32", typed(func(in *api.CreateCustomActionTypeInput) {
				in.ConfigurationProperties = []api.ActionConfigurationProperty{{Name: "k", Required: new(false), Key: new(true), Secret: new(false), Queryable: new(true)}}
			}), wrong, "Invalid queryable property 'k'. Queryable configuration properties must be required and non-secret."},
			refusal{"S-300", typed(func(in *api.CreateCustomActionTypeInput) { in.Provider = "Worker" }), "ActionTypeAlreadyExistsException",
				"The action type arn:aws:codepipeline:eu-west-1:111111111111:actiontype:Custom/Build/Worker/1 has been defined before in another way. Use a version that was never used."},
			refusal{"S-301", func(s *scene) error {
				return drop(s.UpdateActionType(s.ctx, &api.UpdateActionTypeInput{ActionType: strict}))
			}, wrong, "The property 'Token' is optional and cannot become required"},
			refusal{"S-362 M-33", tag(arn, api.Tag{Key: "fine"}, api.Tag{Key: "AWS:x"}), tags,
				"Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and not allowed to mutate system tags]"},
			refusal{"S-362 twice", tag(arn, api.Tag{Key: "k"}, api.Tag{Key: "k"}), tags, "The tag key 'k' is given more than once"},
			refusal{"S-362 M-34", tag(arn, api.Tag{Key: "a"}, api.Tag{Key: "b"}, api.Tag{Key: "c"}), "TooManyTagsException", "Tag limit exceeded for resource [" + arn + "]."},
			refusal{"S-363 M-35", tag(strings.TrimSuffix(arn, "p")+"q", api.Tag{Key: "k"}), "ResourceNotFoundException", "The account with id '111111111111' does not include a pipeline with the name 'q'"},
			refusal{"S-363 ARN", tag("x", api.Tag{Key: "k"}), "InvalidArnException", "The ARN 'x' is not one of a pipeline, stage, action, action type or webhook"},
			refusal{"S-361 stage", tag(arn+"/Build", api.Tag{Key: "k"}), "InvalidArnException",
				"The resource '" + arn + "/Build' cannot have tags: give the ARN of a pipeline, a custom action type or a webhook"},
			refusal{"S-363 M-35", untag(strings.TrimSuffix(arn, "p")+"q", "k"), "ResourceNotFoundException", "The account with id '111111111111' does not include a pipeline with the name 'q'"},
			refusal{"S-362 M-33", untag(arn, "aws:x"), tags, "Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and not allowed to mutate system tags]"},
		)
		must(s.world, 0, tag(arn, api.Tag{Key: "a"}, api.Tag{Key: "b"})(s))
		s.refuse(refusal{"S-362 M-34 together", tag(arn, api.Tag{Key: "a", Value: "2"}, api.Tag{Key: "c"}), "TooManyTagsException", "Tag limit exceeded for resource [" + arn + "]."})
	})
}

// S-8…S-62, S-38, S-60, S-61: a definition that is refused, at whichever step, leaves the one in
// force and everything under way as they were. internal/pipeline has every rule of a structure.
func TestRefusedStructures(t *testing.T) {
	play(t, pipeline.Limits{Pipelines: 1}, func(s *scene) {
		d := s.two(nil)
		d.Version = nil
		s.work("Source", "get", nil)
		const structure, action = "InvalidStructureException", "InvalidActionDeclarationException"
		for _, r := range []struct {
			rule           string
			spoil          func(d *api.PipelineDeclaration)
			class, message string
		}{
			{"S-8 M-1", func(d *api.PipelineDeclaration) { d.RoleArn += "s" }, structure, "CodePipeline is not authorized to perform AssumeRole on role " + role + "s"},
			{"S-9", func(d *api.PipelineDeclaration) { d.ArtifactStore = nil }, structure, "Pipeline declares neither 'artifactStore' nor 'artifactStores'. Declare exactly one of them"},
			{"S-11", func(d *api.PipelineDeclaration) {
				d.ArtifactStore = &api.ArtifactStore{Type: "S3", Location: "missing"}
			}, structure,
				"The artifact bucket 'missing' does not exist or does not belong to account '111111111111'. Create it first."},
			{"S-13 M-4", func(d *api.PipelineDeclaration) { d.Stages = d.Stages[:1] }, structure, "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"},
			{"S-15 M-6", func(d *api.PipelineDeclaration) { d.PipelineType, d.ExecutionMode = "V1", "QUEUED" }, structure, "QUEUED or PARALLEL mode can only be used with V2 pipelines"},
			{"S-21 M-11", func(d *api.PipelineDeclaration) { d.Stages = append(d.Stages, d.Stages[1]) }, "InvalidStageDeclarationException", "Stage name 'Build' is used more than once"},
			{"S-34 M-17", func(d *api.PipelineDeclaration) {
				d.Stages[1].Actions[0].ActionTypeId = &api.ActionTypeId{Category: "Build", Owner: "Custom", Provider: "Nobody", Version: "1"}
			}, action,
				"ActionType (Category: 'Build', Provider: 'Nobody', Owner: 'Custom', Version: '1') in action 'Make' is not available in region 'EU_WEST_1'"},
			{"S-36 M-19", func(d *api.PipelineDeclaration) { d.Stages[1].Actions[0].Configuration = nil }, action, "Action configuration for action 'Make' is missing required configuration 'job'"},
			{"S-49 M-22", func(d *api.PipelineDeclaration) {
				d.Stages[1].Actions[0].InputArtifacts = []api.InputArtifact{{Name: "none"}}
			}, action,
				"Input Artifact Bundle none in action Make is not declared as Output Artifact Bundle in any of the preceding actions"},
			{"S-38 a mask under another name", func(d *api.PipelineDeclaration) {
				d.Stages[0].Actions[0].Name, d.Stages[0].Actions[0].Configuration = "Fetch", map[string]string{"job": "get", "password": "****"}
			}, action, "Action configuration for action 'Fetch' has '****' in place of the secret 'password', " +
				"but no secret is stored under stage 'Source' and action 'Fetch'. Renaming a stage or an action drops its secrets: supply the value again."},
		} {
			spoilt := definition("p")
			spoilt.Stages, spoilt.PipelineType = spoilt.Stages[:2], "V2"
			r.spoil(spoilt)
			s.refuse(refusal{"S-62 " + r.rule, func(s *scene) error {
				return drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: spoilt}))
			}, r.class, r.message})
		}
		create := func(name string) func(*scene) error {
			other := definition(name)
			return func(s *scene) error {
				return drop(s.CreatePipeline(s.ctx, &api.CreatePipelineInput{Pipeline: other, Tags: []api.Tag{{Key: "k"}}}))
			}
		}
		s.refuse(
			refusal{"S-62 Q-4 unknown", func(s *scene) error {
				return drop(s.UpdatePipeline(s.ctx, &api.UpdatePipelineInput{Pipeline: definition("q")}))
			}, "PipelineNotFoundException", noPipeline},
			refusal{"S-60 M-24", create("p"), "PipelineNameInUseException", "A pipeline with the name 'p' already exists in account '111111111111'"},
			refusal{"S-61 S-70", create("q"), "LimitExceededException", "The account '111111111111' already has 1 pipelines in the region eu-west-1, which is the limit"},
		)
		for _, ask := range []func(*scene) error{retry("p", "Build", "e1", "ALL_ACTIONS"), stop("p", "e1", true), goBack("p", "Build", "e1"), override("p", "Build", "e1", "ON_SUCCESS"),
			disable("p", "Build", "Inbound"), enable("p", "Build", "Inbound"), revise("p", "Source", "Get"), run(&api.StartPipelineExecutionInput{Name: "p"})} {
			elsewhere := &scene{world: s.in("us-east-1"), url: s.url, ids: s.ids}
			s.refuse(refusal{"S-6 another Region", func(*scene) error { return ask(elsewhere) }, "PipelineNotFoundException", strings.Replace(noPipeline, "'q'", "'p'", 1)})
		}
	})
}

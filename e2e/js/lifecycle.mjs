// The life of a pipeline, as the SDK for JavaScript sees it (C-26): from the definition to the
// release, with a worker that moves artifacts, and back to nothing. It ends with 0 when
// everything held.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import * as pipelines from "@aws-sdk/client-codepipeline";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";

const client = new pipelines.CodePipelineClient({ maxAttempts: 1 });
const call = (name, input = {}) => client.send(new pipelines[`${name}Command`](input));
const provider = "JavaScript";
const type = (category, owner = "Custom", name = provider) => ({ category, owner, provider: name, version: "1" });

async function refused(name, input, error) {
  await assert.rejects(call(name, input), (e) => {
    assert.equal(e.name, error);
    assert.ok(e instanceof pipelines.CodePipelineServiceException && e.$metadata.requestId && e.message, e);
    return true;
  });
}

async function until(what, check) {
  for (const deadline = Date.now() + 300_000; Date.now() < deadline; await sleep(50)) {
    const got = await check();
    if (got) return got;
  }
  assert.fail(`waited for ${what}`);
}

const state = async (stage) => (await call("GetPipelineState", { name: "js" })).stageStates.find((s) => s.stageName === stage);

async function take(category, project) {
  const job = await until(`a ${category} job`, async () =>
    (await call("PollForJobs", { actionTypeId: type(category), queryParam: { Project: project }, maxBatchSize: 1 })).jobs[0]);
  assert.equal((await call("AcknowledgeJob", { jobId: job.id, nonce: job.nonce })).status, "InProgress");
  const { accessKeyId, secretAccessKey, sessionToken } = job.data.artifactCredentials;
  const s3 = new S3Client({ credentials: { accessKeyId, secretAccessKey, sessionToken }, forcePathStyle: true, maxAttempts: 1 });
  const place = ({ location: { s3Location } }) => ({ Bucket: s3Location.bucketName, Key: s3Location.objectKey });
  return { ...job, s3, place };
}

const bounds = (n) => ({ minimumCount: 0, maximumCount: n });
for (const [category, inputs, outputs] of [["Source", 0, 1], ["Deploy", 1, 0]]) {
  await call("CreateCustomActionType", {
    category, provider, version: "1", inputArtifactDetails: bounds(inputs), outputArtifactDetails: bounds(outputs),
    configurationProperties: [{ name: "Project", required: true, key: true, secret: false, queryable: true }],
  });
}
const pipeline = {
  name: "js", roleArn: "arn:aws:iam::000000000000:role/release", pipelineType: "V2",
  artifactStore: { type: "S3", location: "artifacts" }, variables: [{ name: "color", defaultValue: "red" }],
  stages: [
    { name: "Source", actions: [{ name: "Fetch", actionTypeId: type("Source"), configuration: { Project: "js" }, outputArtifacts: [{ name: "tree" }] }] },
    { name: "Release", actions: [
      { name: "Approve", actionTypeId: type("Approval", "AWS", "Manual") },
      { name: "Publish", runOrder: 2, actionTypeId: type("Deploy"), configuration: { Project: "js" }, inputArtifacts: [{ name: "tree" }] }] },
  ],
};
const made = await call("CreatePipeline", { pipeline, tags: [{ key: "team", value: "green" }] });
assert.equal(made.pipeline.version, 1);
const got = await call("GetPipeline", { name: "js" });
assert.ok(got.metadata.created instanceof Date && Math.abs(Date.now() - got.metadata.created) < 300_000);
assert.deepEqual(got.pipeline, made.pipeline);
await refused("CreatePipeline", { pipeline }, "PipelineNameInUseException");
await refused("GetPipeline", { name: "nobody" }, "PipelineNotFoundException");

// The release: an artifact as a stream, an approval, and the artifact at the other end.
let job = await take("Source", "js");
const text = "built by JavaScript ".repeat(10_000);
await job.s3.send(new PutObjectCommand({ ...job.place(job.data.outputArtifacts[0]), Body: text, ServerSideEncryption: "aws:kms" }));
await call("PutJobSuccessResult", {
  jobId: job.id, currentRevision: { revision: "r1", changeIdentifier: "c1", created: new Date(), revisionSummary: "first" },
  executionDetails: { summary: "Finished", externalExecutionId: "1", percentComplete: 100 },
});
const waiting = await until("the approval", async () => {
  const s = await state("Release");
  return s.actionStates[0].latestExecution?.token && s;
});
const { pipelineExecutionId } = waiting.latestExecution;
const answer = await call("PutApprovalResult", {
  pipelineName: "js", stageName: "Release", actionName: "Approve", token: waiting.actionStates[0].latestExecution.token,
  result: { summary: "read it", status: "Approved" },
});
assert.ok(answer.approvedAt instanceof Date);
job = await take("Deploy", "js");
const input = await job.s3.send(new GetObjectCommand(job.place(job.data.inputArtifacts[0])));
assert.equal(await input.Body.transformToString(), text);
await call("PutJobSuccessResult", { jobId: job.id });
const execution = (await call("GetPipelineExecution", { pipelineName: "js", pipelineExecutionId })).pipelineExecution;
assert.deepEqual([execution.status, execution.trigger.triggerType, execution.variables], ["Succeeded", "CreatePipeline", [{ name: "color", resolvedValue: "red" }]]);

// Starts, gates and stops; the SDK fills the token of a start by itself.
await call("DisableStageTransition", { pipelineName: "js", stageName: "Release", transitionType: "Inbound", reason: "freeze" });
const second = (await call("StartPipelineExecution", { name: "js", variables: [{ name: "color", value: "blue" }] })).pipelineExecutionId;
job = await take("Source", "js");
await call("PutJobFailureResult", { jobId: job.id, failureDetails: { type: "JobFailed", message: "no such branch" } });
assert.equal((await call("RetryStageExecution", { pipelineName: "js", stageName: "Source", pipelineExecutionId: second, retryMode: "FAILED_ACTIONS" })).pipelineExecutionId, second);
job = await take("Source", "js");
await call("PutJobSuccessResult", { jobId: job.id });
assert.equal((await until("the gate to hold it", async () => (await state("Release")).inboundExecution)).pipelineExecutionId, second);
await call("StopPipelineExecution", { pipelineName: "js", pipelineExecutionId: second, reason: "enough" });
await call("EnableStageTransition", { pipelineName: "js", stageName: "Release", transitionType: "Inbound" });

const statuses = [];
for await (const page of pipelines.paginateListPipelineExecutions({ client, pageSize: 1 }, { pipelineName: "js" })) {
  for (const s of page.pipelineExecutionSummaries) statuses.push(s.status);
}
assert.deepEqual(statuses, ["Stopped", "Succeeded"]);
const actions = [];
for await (const page of pipelines.paginateListActionExecutions({ client, pageSize: 2 }, { pipelineName: "js" })) {
  for (const a of page.actionExecutionDetails) actions.push(a.actionExecutionId);
}
assert.equal(new Set(actions).size, 5);

// Webhook, tags, update, and the end
const webhook = (await call("PutWebhook", { webhook: {
  name: "js", targetPipeline: "js", targetAction: "Fetch", filters: [], authentication: "UNAUTHENTICATED", authenticationConfiguration: {} } })).webhook;
const listed = [];
for await (const page of pipelines.paginateListWebhooks({ client, pageSize: 1 }, {})) listed.push(...page.webhooks.map((w) => w.url));
assert.deepEqual(listed, [webhook.url]);
await call("DeleteWebhook", { name: "js" });
await call("TagResource", { resourceArn: got.metadata.pipelineArn, tags: [{ key: "stage", value: "one" }] });
assert.equal((await call("ListTagsForResource", { resourceArn: got.metadata.pipelineArn })).tags.length, 2);
assert.equal((await call("UpdatePipeline", { pipeline: got.pipeline })).pipeline.version, 2);
await call("DeletePipeline", { name: "js" });
await refused("GetPipelineState", { name: "js" }, "PipelineNotFoundException");
for (const category of ["Source", "Deploy"]) await call("DeleteCustomActionType", { category, provider, version: "1" });

"""What the scripts of this folder share: clients from the environment, and a pipeline whose
work is done by the script itself.

A script ends with 0 when everything held, and otherwise with the assertion that did not.
"""
import contextlib
import json
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
REGION = os.environ["AWS_REGION"]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/release"
BUCKET = "artifacts"


def client(service, **more):
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}), **more)


cp = client("codepipeline")


@contextlib.contextmanager
def refused(code, text=""):
    """The calls in the block must be refused with this error class and text."""
    try:
        yield
    except ClientError as e:
        error = e.response["Error"]
        assert error["Code"] == code and text in error["Message"], error
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e.response
        assert e.response["ResponseMetadata"]["RequestId"], e.response
    else:
        raise AssertionError(f"not refused with {code}")


def until(what, check, seconds=300):
    """Ask again until check gives something, and give that."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def worker_types(provider):
    """Register custom types of this provider for a source, a build and a deployment."""
    for category, inputs, outputs in (("Source", 0, 1), ("Build", 1, 1), ("Deploy", 1, 0)):
        cp.create_custom_action_type(
            category=category, provider=provider, version="1",
            inputArtifactDetails={"minimumCount": 0, "maximumCount": inputs},
            outputArtifactDetails={"minimumCount": 0, "maximumCount": outputs},
            configurationProperties=[
                {"name": "Project", "required": True, "key": True, "secret": False, "queryable": True, "type": "String"},
                {"name": "Password", "required": False, "key": False, "secret": True, "queryable": False, "type": "String"}])


def action(name, category, provider, owner="Custom", inputs=(), outputs=(), **more):
    configuration = {} if owner == "AWS" else {"Project": name}
    configuration.update(more.pop("configuration", {}))
    return {"name": name, "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"}, "runOrder": 1,
            "configuration": configuration, "inputArtifacts": [{"name": n} for n in inputs], "outputArtifacts": [{"name": n} for n in outputs], **more}


def definition(name, provider, **more):
    return {"name": name, "roleArn": ROLE, "artifactStore": {"type": "S3", "location": BUCKET}, "pipelineType": "V2", "executionMode": "SUPERSEDED",
            "stages": [
                {"name": "Source", "actions": [action("Fetch", "Source", provider, outputs=["tree"], namespace="src")]},
                {"name": "Build", "actions": [action("Compile", "Build", provider, inputs=["tree"], outputs=["binary"])]},
                {"name": "Release", "actions": [action("Approve", "Approval", "Manual", owner="AWS"),
                                                {**action("Publish", "Deploy", provider, inputs=["binary"]), "runOrder": 2}]}], **more}


def poll(category, provider, project, **more):
    return cp.poll_for_jobs(actionTypeId={"category": category, "owner": "Custom", "provider": provider, "version": "1"},
                            queryParam={"Project": project}, **more)["jobs"]


def take(category, provider, project):
    """Wait for the next job of a queue and make it ours."""
    job = until(f"a job for {project}", lambda: poll(category, provider, project))[0]
    assert cp.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    return job


def source(provider, project="Fetch", revision="r1", **variables):
    job = take("Source", provider, project)
    cp.put_job_success_result(jobId=job["id"], currentRevision={"revision": revision, "changeIdentifier": revision, "revisionSummary": f"change {revision}"},
                              executionDetails={"summary": "fetched", "externalExecutionId": "1", "percentComplete": 100}, outputVariables=variables)
    return job


def succeed(category, provider, project):
    job = take(category, provider, project)
    cp.put_job_success_result(jobId=job["id"])
    return job


def fail(category, provider, project, kind="JobFailed", message="it does not compile"):
    job = take(category, provider, project)
    cp.put_job_failure_result(jobId=job["id"], failureDetails={"type": kind, "message": message})
    return job


def stage(pipeline, name):
    return next(s for s in cp.get_pipeline_state(name=pipeline)["stageStates"] if s["stageName"] == name)


def approve(pipeline, status="Approved", stage_name="Release", name="Approve"):
    def token():
        for state in stage(pipeline, stage_name)["actionStates"]:
            if state["actionName"] == name:
                return state.get("latestExecution", {}).get("token")

    return cp.put_approval_result(pipelineName=pipeline, stageName=stage_name, actionName=name, token=until("an approval", token),
                                  result={"summary": "read it", "status": status})["approvedAt"]


def ended(pipeline, execution, status):
    until(f"{execution} to be {status}", lambda: cp.get_pipeline_execution(pipelineName=pipeline, pipelineExecutionId=execution)["pipelineExecution"]["status"] == status)


def show(value):
    return json.dumps(value, default=str, indent=1)

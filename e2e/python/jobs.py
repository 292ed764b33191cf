"""A job worker as the public ones are (A-1, A-12, A-27, A-31, A-32, C-27..C-29): poll, acknowledge,
read and write artifacts with the job's credentials, continue, report."""
import io
import zipfile

from boto3.s3.transfer import TransferConfig

from world import *

P = "BotoJobs"
worker_types(P)
cp.create_pipeline(pipeline=definition("jobs", P))


def storage(job):
    """S3 as the worker of a job sees it."""
    keys = cp.get_job_details(jobId=job["id"])["jobDetails"]["data"]["artifactCredentials"]
    return client("s3", aws_access_key_id=keys["accessKeyId"], aws_secret_access_key=keys["secretAccessKey"], aws_session_token=keys["sessionToken"])


def place(artifact):
    at = artifact["location"]["s3Location"]
    return {"Bucket": at["bucketName"], "Key": at["objectKey"]}


def packed(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        z.writestr("file", b"x" * size)
    return out.getvalue()


job = take("Source", P, "Fetch")
with refused("InvalidNonceException"):
    cp.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
output = job["data"]["outputArtifacts"][0]
folder, name, tail = output["location"]["s3Location"]["objectKey"].split("/")  # TeamCity takes it apart (C-28)
assert (folder, name) == ("jobs", "tree") and len(tail) == 7, output
s3 = storage(job)
# Jenkins always uploads in parts (C-27).
body = packed(6 << 20)
s3.upload_fileobj(io.BytesIO(body), **place(output), Config=TransferConfig(multipart_threshold=1, multipart_chunksize=5 << 20),
                  ExtraArgs={"ServerSideEncryption": "aws:kms"})
for where in ({**place(output), "Key": "jobs/tree/another"}, {"Bucket": BUCKET, "Key": "other"}):  # nothing but the job's own objects (C-29)
    try:
        s3.put_object(**where, Body=b"x")
        raise AssertionError(f"could write {where}")
    except ClientError as e:
        assert e.response["Error"]["Code"] == "AccessDenied", e.response
# A continuation is a new job, which gets the token.
cp.put_job_success_result(jobId=job["id"], currentRevision={"revision": "r1", "changeIdentifier": "c1", "revisionSummary": "first"},
                          executionDetails={"summary": "Finished", "externalExecutionId": "41", "percentComplete": 100}, outputVariables={"commit": "r1"})
with refused("InvalidJobStateException"):
    cp.put_job_success_result(jobId=job["id"])

job = take("Build", P, "Compile")
context = job["data"]["pipelineContext"]
assert context["pipelineName"] == "jobs" and context["stage"]["name"] == "Build" and context["action"]["name"] == "Compile", show(context)
s3 = storage(job)
entry = job["data"]["inputArtifacts"][0]
assert entry["revision"] == "r1", show(entry)
got = io.BytesIO()
s3.download_fileobj(**place(entry), Fileobj=got)
assert got.getvalue() == body, "the input is not what the source stored"
s3.put_object(**place(job["data"]["outputArtifacts"][0]), Body=b"")
with refused("ValidationException"):
    cp.put_job_success_result(jobId=job["id"], continuationToken="half", outputVariables={"a": "b"})
cp.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": "two tests failed", "externalExecutionId": "42"})
failed = until("the failure", lambda: [d for d in cp.list_action_executions(pipelineName="jobs")["actionExecutionDetails"] if d["status"] == "Failed"])
result = failed[0]["output"]["executionResult"]
assert result["errorDetails"] == {"code": "JobFailed", "message": "two tests failed"} and result["externalExecutionId"] == "42", show(result)
with refused("JobNotFoundException"):
    cp.get_job_details(jobId="00000000-0000-4000-8000-000000000000")
for wrong in ({"queryParam": {"Other": "x"}}, {}):
    with refused("ValidationException"):
        cp.poll_for_jobs(actionTypeId={"category": "Build", "owner": "Custom", "provider": P, "version": "1"}, **wrong)
cp.delete_pipeline(name="jobs")

"""A vendor's worker (A-2, A-16, A-28, A-33, A-34)."""
from world import *

ID = {"category": "Build", "owner": "ThirdParty", "provider": "BotoVendor", "version": "1"}
cp.update_action_type(actionType={
    "id": ID, "executor": {"type": "JobWorker", "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": [ACCOUNT]}}},
    "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1}, "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0}})
iam = client("iam")
iam.create_user(UserName="vendor")
iam.put_user_policy(UserName="vendor", PolicyName="work", PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":'
                    '["codepipeline:*ThirdParty*"],"Resource":"*"}]}')
pair = iam.create_service_specific_credential(UserName="vendor", ServiceName="codepipeline.amazonaws.com")["ServiceSpecificCredential"]
secret = pair["ServicePassword"]
keys = iam.create_access_key(UserName="vendor")["AccessKey"]
vendor = client("codepipeline", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"])

P = "BotoThirdParty"
worker_types(P)
d = definition("vendors", P)
d["stages"][1]["actions"] = [{**action("Scan", "Build", "BotoVendor", owner="ThirdParty", inputs=["tree"]), "configuration": {}}]
d["stages"] = d["stages"][:2]
cp.create_pipeline(pipeline=d)


def job():
    source(P)
    found = until("a job of the vendor", lambda: vendor.poll_for_third_party_jobs(actionTypeId=ID, maxBatchSize=1)["jobs"])
    assert found[0]["clientId"] == pair["ServiceUserName"], show(found)
    details = vendor.get_third_party_job_details(jobId=found[0]["jobId"], clientToken=secret)["jobDetails"]
    assert "pipelineArn" not in details["data"].get("pipelineContext", {}), show(details)
    with refused("InvalidClientTokenException"):
        vendor.acknowledge_third_party_job(jobId=details["id"], nonce=details["nonce"], clientToken="guess")
    assert vendor.acknowledge_third_party_job(jobId=details["id"], nonce=details["nonce"], clientToken=secret)["status"] == "InProgress"
    return details["id"]


def newest():
    return cp.list_pipeline_executions(pipelineName="vendors")["pipelineExecutionSummaries"][0]["pipelineExecutionId"]


vendor.put_third_party_job_failure_result(jobId=job(), clientToken=secret, failureDetails={"type": "JobFailed", "message": "one leak"})
ended("vendors", newest(), "Failed")
cp.start_pipeline_execution(name="vendors")
vendor.put_third_party_job_success_result(jobId=job(), clientToken=secret, executionDetails={"summary": "clean"})
ended("vendors", newest(), "Succeeded")
with refused("JobNotFoundException"):
    vendor.get_third_party_job_details(jobId="00000000-0000-4000-8000-000000000000", clientToken=secret)
with refused("AccessDeniedException"):
    vendor.list_pipelines()
cp.delete_pipeline(name="vendors")

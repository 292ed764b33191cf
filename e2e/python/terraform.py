"""The calls of Terraform's AWS provider, in its order and through a proxy as it may be set up
(C-9..C-16, C-18..C-21, N-7): what is read back must be what was written, or a plan shows a
difference for ever."""

from world import *

PROXY = Config(retries={"total_max_attempts": 1}, proxies={"http": os.environ["AWS_ENDPOINT_URL"]})
HOST = "http://aws.example"  # no such host: every request goes to the proxy, in absolute form (C-21)


def through(service, host=HOST):
    return boto3.client(service, endpoint_url=host, config=PROXY)


cp = through("codepipeline")
sts = through("sts")

# Start of the provider (C-9)
me = sts.get_caller_identity()
assert me["Account"] == ACCOUNT and me["Arn"].split(":")[1] == "aws", show(me)
cp.list_pipelines()

# A connection (C-19), under both names of the service
for service in ("codestar-connections", "codeconnections"):
    c = through(service)
    arn = c.create_connection(ConnectionName="hub", ProviderType="GitHub", Tags=[{"Key": "team", "Value": "green"}])["ConnectionArn"]
    assert arn.split(":")[2] == service, arn
    got = c.get_connection(ConnectionArn=arn)["Connection"]
    assert got["ConnectionStatus"] == "PENDING" and got["ConnectionName"] == "hub" and got["ProviderType"] == "GitHub", show(got)
    assert c.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "green"}]
    if service == "codestar-connections":
        c.delete_connection(ConnectionArn=arn)
        try:
            c.get_connection(ConnectionArn=arn)
            raise AssertionError("the connection is still there")
        except ClientError as e:
            assert e.response["Error"]["Code"] == "ResourceNotFoundException", e.response

# A pipeline with everything the provider sends (C-10, C-14, C-15)
V1 = {
    "name": "tf", "roleArn": ROLE, "executionMode": "SUPERSEDED", "pipelineType": "V1",
    "artifactStore": {"type": "S3", "location": BUCKET, "encryptionKey": {"id": "1234", "type": "KMS"}},
    "stages": [
        {"name": "Source", "actions": [
            {"name": "Source", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
             "configuration": {"ConnectionArn": arn, "FullRepositoryId": "team/app", "BranchName": "main"}, "outputArtifacts": [{"name": "tree"}]},
            {"name": "GitHub", "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
             "configuration": {"Owner": "team", "Repo": "lib", "Branch": "main", "OAuthToken": "t0ken"}, "outputArtifacts": [{"name": "lib"}]}]},
        {"name": "Build", "actions": [
            {"name": "Build", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"}, "namespace": "build",
             "roleArn": ROLE, "region": REGION, "runOrder": 3, "configuration": {"ProjectName": "app", "PrimarySource": "tree"},
             "inputArtifacts": [{"name": "tree"}, {"name": "lib"}], "outputArtifacts": [{"name": "binary"}]},
            {"name": "Approve", "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}, "timeoutInMinutes": 10}]},
    ],
}


def created(definition, tags):
    """CreatePipeline, GetPipeline, ListTagsForResource: what comes back is what went there."""
    cp.create_pipeline(pipeline=definition, tags=tags)
    return read(definition, tags)


def full(condition):
    """The provider takes an empty list or map of a rule for none at all."""
    for c in (condition or {}).get("conditions", []):
        c["rules"] = [{k: v for k, v in rule.items() if v not in ([], {})} for rule in c["rules"]]
    return condition


def read(definition, tags):
    got = cp.get_pipeline(name=definition["name"])
    stored = got["pipeline"]
    assert got["metadata"]["pipelineArn"] == f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:{definition['name']}"
    for key in ("name", "roleArn", "executionMode", "pipelineType", "artifactStore", "artifactStores", "variables"):
        assert stored.get(key) == definition.get(key), (key, stored.get(key), definition.get(key))
    assert [s["name"] for s in stored["stages"]] == [s["name"] for s in definition["stages"]]
    for want, have in zip(definition["stages"], stored["stages"]):
        for key in ("beforeEntry", "onSuccess", "onFailure"):
            assert have.get(key) == full(want.get(key)), (key, have.get(key), want.get(key))
        assert [a["name"] for a in have["actions"]] == [a["name"] for a in want["actions"]]
        for a, b in zip(want["actions"], have["actions"]):
            a = {"runOrder": 1, "configuration": {}, "inputArtifacts": [], "outputArtifacts": [], **a}  # computed, or empty
            if "OAuthToken" in a["configuration"]:  # C-16
                assert b["configuration"]["OAuthToken"] == "****", show(b)
                a["configuration"] = {**a["configuration"], "OAuthToken": "****"}
            assert b == a, (show(b), show(a))
    listed = cp.list_tags_for_resource(resourceArn=got["metadata"]["pipelineArn"])["tags"]
    assert listed == tags, listed
    return stored


created(V1, [{"key": "team", "value": "green"}])
read(V1, [{"key": "team", "value": "green"}])  # refresh and import (C-11, C-13)
with refused("PipelineNotFoundException"):  # gone, for the provider
    cp.get_pipeline(name="nobody")

# An update: tags first, untagging before tagging, then the structure (C-12)
resource = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:tf"
cp.untag_resource(resourceArn=resource, tagKeys=["team"])
cp.tag_resource(resourceArn=resource, tags=[{"key": "stage", "value": "one"}])
V2 = {**V1, "pipelineType": "V2", "executionMode": "QUEUED", "variables": [{"name": "color", "defaultValue": "red", "description": "of the logo"}]}
V2["stages"] = [V1["stages"][0], {
    **V1["stages"][1],
    "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [
        {"name": "Red", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"}, "region": REGION, "roleArn": ROLE,
         "timeoutInMinutes": 10, "configuration": {"Variable": "#{variables.color}", "Value": "red", "Operator": "EQ"}, "inputArtifacts": []}]}]},
    "onSuccess": {"conditions": [{"result": "FAIL", "rules": [
        {"name": "Say", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "Commands", "version": "1"}, "commands": ["echo done"],
         "inputArtifacts": [{"name": "tree"}], "configuration": {}}]}]},
    "onFailure": {"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}},
}]
cp.update_pipeline(pipeline=V2)
stored = read(V2, [{"key": "stage", "value": "one"}])
# trigger_all is computed: a V2 pipeline with a connection shows its default trigger
assert [t["gitConfiguration"]["sourceActionName"] for t in stored["triggers"]] == ["Source"], show(stored["triggers"])
triggers = [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Source", "push": [
    {"branches": {"includes": ["main", "release/**"], "excludes": ["release/old"]}, "filePaths": {"includes": ["src/**"]}}],
    "pullRequest": [{"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}]}}]
cp.update_pipeline(pipeline={**V2, "triggers": triggers})
assert cp.get_pipeline(name="tf")["pipeline"]["triggers"] == triggers
cp.update_pipeline(pipeline=V2)  # omitting them brings the default one back
assert len(cp.get_pipeline(name="tf")["pipeline"]["triggers"]) == 1
cp.delete_pipeline(name="tf")
cp.delete_pipeline(name="tf")  # destroyed twice

# A custom action type (C-18): the provider composes the ARN, with an account or without one (C-21)
kind = {"category": "Test", "provider": "Terraform", "version": "1"}
cp.create_custom_action_type(**kind, inputArtifactDetails={"minimumCount": 0, "maximumCount": 5}, outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
                             settings={"entityUrlTemplate": "https://ci.example/{Config:Job}"}, tags=[{"key": "team", "value": "green"}],
                             configurationProperties=[{"name": "Job", "required": True, "key": True, "secret": False, "queryable": True, "type": "String"}])
mine = [t for t in cp.list_action_types(actionOwnerFilter="Custom")["actionTypes"] if t["id"]["provider"] == "Terraform"]
assert mine[0]["settings"] == {"entityUrlTemplate": "https://ci.example/{Config:Job}"} and mine[0]["inputArtifactDetails"] == {"minimumCount": 0, "maximumCount": 5}, show(mine)
for account in (ACCOUNT, ""):
    tags = cp.list_tags_for_resource(resourceArn=f"arn:aws:codepipeline:{REGION}:{account}:actiontype:Custom/Test/Terraform/1")["tags"]
    assert tags == [{"key": "team", "value": "green"}], tags
cp.delete_custom_action_type(**kind)

# The tags of a bucket, from S3 Control, whose host begins with the account (N-7)
control = through("s3control")
bucket = f"arn:aws:s3:::{BUCKET}"
control.tag_resource(AccountId=ACCOUNT, ResourceArn=bucket, Tags=[{"Key": "team", "Value": "green"}])
assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=bucket)["Tags"] == [{"Key": "team", "Value": "green"}]
control.untag_resource(AccountId=ACCOUNT, ResourceArn=bucket, TagKeys=["team"])
assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=bucket)["Tags"] == []

# A service-linked role, which aws_iam_service_linked_role makes and deletes (N-2)
iam = client("iam")
linked = iam.create_service_linked_role(AWSServiceName="codestar-notifications.amazonaws.com", Description="of the tests")["Role"]
assert linked["Path"] == "/aws-service-role/codestar-notifications.amazonaws.com/" and linked["RoleName"] == "AWSServiceRoleForCodeStarNotifications", linked
try:
    iam.delete_role(RoleName=linked["RoleName"])
    raise AssertionError("deleted like another role")
except iam.exceptions.UnmodifiableEntityException:
    pass
task = iam.delete_service_linked_role(RoleName=linked["RoleName"])["DeletionTaskId"]
assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
assert client("codebuild").list_curated_environment_images()["platforms"] == []

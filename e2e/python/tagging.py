"""Tags of everything in one place (N-17): the Resource Groups Tagging API over all rooms, with its
paginators, and with the permissions that it asks for."""
import io
import json
import zipfile

import boto3

from world import ACCOUNT, REGION, ROLE, client, cp, definition, refused, worker_types

tagging = client("resourcegroupstaggingapi")
iam, sts = client("iam"), client("sts")


def found(**more):
    return {m["ResourceARN"]: {t["Key"]: t["Value"] for t in m["Tags"]}
            for page in tagging.get_paginator("get_resources").paginate(**more) for m in page["ResourceTagMappingList"]}


# One of each, all with tags from the beginning or after it
team = [{"Key": "team", "Value": "web"}]
lower = [{"key": "team", "value": "web"}]
worker_types("Tags")
cp.create_pipeline(pipeline=definition("tagged", "Tags"), tags=lower)
cp.tag_resource(resourceArn=f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:actiontype:Custom/Build/Tags/1", tags=lower)
hook = cp.put_webhook(webhook={"name": "tagged", "targetPipeline": "tagged", "targetAction": "Fetch", "filters": [], "authentication": "UNAUTHENTICATED",
                               "authenticationConfiguration": {}}, tags=lower)["webhook"]["arn"]
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                 "Principal": {"Service": ["codebuild.amazonaws.com", "codedeploy.amazonaws.com", "lambda.amazonaws.com"], "AWS": ACCOUNT}}]}
service = iam.create_role(RoleName="tagged", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
project = client("codebuild").create_project(
    name="tagged", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"}, serviceRole=service, tags=lower,
    environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"})["project"]["arn"]
deploy = client("codedeploy")
deploy.create_application(applicationName="tagged", tags=team)
deploy.create_deployment_group(applicationName="tagged", deploymentGroupName="group", serviceRoleArn=service, tags=team)
repository = client("codecommit").create_repository(repositoryName="tagged", tags={"team": "web"})["repositoryMetadata"]["Arn"]
connection = client("codeconnections").create_connection(ConnectionName="tagged", ProviderType="GitHub", Tags=team)["ConnectionArn"]
events = client("events")
rule = events.put_rule(Name="tagged", EventPattern='{"source":["a"]}', Tags=team)["RuleArn"]
bus = events.create_event_bus(Name="tagged", Tags=team)["EventBusArn"]
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("index.py", "def handler(event, context):\n    return 1\n")
function = client("lambda").create_function(FunctionName="tagged", Role=service, Runtime="python3.13", Handler="index.handler", Code={"ZipFile": code.getvalue()},
                                            Tags={"team": "web"})["FunctionArn"]
client("logs").create_log_group(logGroupName="tagged", tags={"team": "web"})
secret = client("secretsmanager").create_secret(Name="tagged", SecretString="s", Tags=team)["ARN"]
topic = client("sns").create_topic(Name="tagged", Tags=team)["TopicArn"]
ssm = client("ssm")
for name in ("/tagged/deep", "/alone", "tagged"):
    ssm.put_parameter(Name=name, Value="v", Type="String", Tags=team)
client("s3").create_bucket(Bucket="tagged")
client("s3").put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": team})
client("cloudwatch").put_metric_alarm(AlarmName="tagged", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
                                      ComparisonOperator="GreaterThanThreshold", Tags=team)
notification = client("codestar-notifications").create_notification_rule(
    Name="tagged", DetailType="BASIC", Resource=f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:tagged", EventTypeIds=["codepipeline-pipeline-pipeline-execution-failed"],
    Targets=[{"TargetType": "SNS", "TargetAddress": topic}], Tags={"team": "web"})["Arn"]
here = f"{REGION}:{ACCOUNT}"
everything = {
    f"arn:aws:codepipeline:{here}:tagged", f"arn:aws:codepipeline:{here}:actiontype:Custom/Build/Tags/1", hook, project, repository, connection, rule, bus, function,
    f"arn:aws:codedeploy:{here}:application:tagged", f"arn:aws:codedeploy:{here}:deploymentgroup:tagged/group", f"arn:aws:logs:{here}:log-group:tagged", secret, topic, f"arn:aws:ssm:{here}:parameter/tagged/deep", f"arn:aws:ssm:{here}:parameter/alone",
    f"arn:aws:ssm:{here}:parameter/tagged", "arn:aws:s3:::tagged", f"arn:aws:cloudwatch:{here}:alarm:tagged", notification}

mine = found(TagFilters=[{"Key": "team", "Values": ["web", "other"]}])
assert set(mine) == everything and all(tags == {"team": "web"} for tags in mine.values()), (everything ^ set(mine), mine)
assert found(TagFilters=[{"Key": "team", "Values": ["web"]}], ResourcesPerPage=1) == mine
assert not found(TagFilters=[{"Key": "team", "Values": ["other"]}])
assert set(found(ResourceTypeFilters=["codepipeline:webhook", "sns", "ec2:instance", "s3:bucket"], TagFilters=[{"Key": "team", "Values": ["web"]}])) == {hook, topic, "arn:aws:s3:::tagged"}
assert set(found(ResourceARNList=[topic, hook, f"arn:aws:sns:{here}:none"])) == {topic, hook}
with refused("InvalidParameterException", "ResourceARNList"):
    tagging.get_resources(ResourceARNList=[topic], ResourcesPerPage=1)
with refused("InvalidParameterException", "PaginationToken"):
    tagging.get_resources(PaginationToken="x")

# Tags are added to all of them and taken away again; what cannot be is told, one by one
arns = sorted(everything)
for some in (arns[:10], arns[10:]):
    assert not tagging.tag_resources(ResourceARNList=some, Tags={"stage": "one", "team": "api"})["FailedResourcesMap"]
assert {a: t for a, t in found().items() if a in everything} == {arn: {"stage": "one", "team": "api"} for arn in everything}
keys = [k for page in tagging.get_paginator("get_tag_keys").paginate() for k in page["TagKeys"]]
assert {"stage", "team"} <= set(keys), keys
assert [v for page in tagging.get_paginator("get_tag_values").paginate(Key="stage") for v in page["TagValues"]] == ["one"]
for some in (arns[:10], arns[10:]):
    assert not tagging.untag_resources(ResourceARNList=some, TagKeys=["team", "none"])["FailedResourcesMap"]
assert {a: t for a, t in found().items() if a in everything} == {arn: {"stage": "one"} for arn in everything}
gone = f"arn:aws:sns:{here}:gone"
failed = tagging.tag_resources(ResourceARNList=[topic, gone, "arn:aws:ec2:r:a:instance/i"], Tags={"a": "b"})["FailedResourcesMap"]
assert set(failed) == {gone, "arn:aws:ec2:r:a:instance/i"} and failed[gone]["StatusCode"] == 400 and failed[gone]["ErrorCode"] == "InvalidParameterException", failed

# The caller needs tag:… and the permission of the service
def limited(*actions):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    iam.put_role_policy(RoleName="tagged", PolicyName="all", PolicyDocument=json.dumps(document))
    keys = sts.assume_role(RoleArn=service, RoleSessionName="limited")["Credentials"]
    return boto3.client("resourcegroupstaggingapi", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])


reader = limited("tag:GetResources")
assert reader.get_resources(TagFilters=[{"Key": "stage"}], ResourcesPerPage=1)["PaginationToken"]
with refused("AccessDeniedException", "tag:TagResources"):
    reader.tag_resources(ResourceARNList=[topic], Tags={"a": "c"})
with refused("AccessDeniedException", "tag:GetTagKeys"):
    reader.get_tag_keys()
half = limited("tag:TagResources", "codepipeline:TagResource")
failed = half.tag_resources(ResourceARNList=[topic, project, "arn:aws:s3:::tagged", hook], Tags={"a": "c"})["FailedResourcesMap"]
assert set(failed) == {topic, project, "arn:aws:s3:::tagged"} and all(f["StatusCode"] == 403 and "not authorized" in f["ErrorMessage"] for f in failed.values()), failed
assert found(ResourceARNList=[hook, topic]) == {hook: {"stage": "one", "a": "c"}, topic: {"stage": "one", "a": "b"}}

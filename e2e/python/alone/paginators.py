"""Every paginator and every waiter that boto3 has for the operations of docs/api-coverage.md, on a
server of its own: page by page comes what comes at once, and each waiter ends as it should."""
import io
import json
import re
import time
import zipfile
from datetime import datetime, timedelta, timezone

from world import ACCOUNT, BUCKET, REGION, client, cp, definition, poll, refused, source, until, worker_types

ROOMS = {"codestarconnections": "codestar-connections", "codestarnotifications": "codestar-notifications"}
AGENTS = {"codedeploycommands"}  # have a client of their own
here = f"{REGION}:{ACCOUNT}"
THREE = ("one", "two", "three")
tags = [{"Key": name, "Value": "v"} for name in THREE]


def offered():
    rooms, room = {}, None
    with open("../docs/api-coverage.md", encoding="utf-8") as page:
        for line in page:
            if line.startswith("## "):
                room = rooms.setdefault(line[3:].strip(), set())
            elif room is not None:
                room |= {word for word in re.split(r"[,\s]+", line) if word}
    return rooms


# Something to list: three of each, and more than a page of what has pages of a fixed size
iam, s3, ssm, sns, logs, events, functions = (client(n) for n in ("iam", "s3", "ssm", "sns", "logs", "events", "lambda"))
nobody = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                            "Principal": {"Service": ["codebuild.amazonaws.com", "lambda.amazonaws.com", "events.amazonaws.com"]}}]})
policies = [iam.create_policy(PolicyName=n, PolicyDocument=nobody, Tags=tags)["Policy"]["Arn"] for n in THREE]
for n in THREE:
    iam.create_role(RoleName=n, AssumeRolePolicyDocument=trust, Tags=tags)
    iam.create_user(UserName=n, Tags=tags)
    iam.create_policy_version(PolicyArn=policies[0], PolicyDocument=nobody)
    iam.put_role_policy(RoleName="one", PolicyName=n, PolicyDocument=nobody)
    iam.put_user_policy(UserName="one", PolicyName=n, PolicyDocument=nobody)
    iam.attach_role_policy(RoleName=n, PolicyArn=policies[0])
    iam.attach_user_policy(UserName=n, PolicyArn=policies[0])
for arn in policies[1:]:
    iam.attach_role_policy(RoleName="one", PolicyArn=arn)
    iam.attach_user_policy(UserName="one", PolicyArn=arn)
for _ in range(2):
    iam.create_access_key(UserName="one")
role = f"arn:aws:iam::{ACCOUNT}:role/one"

s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
for n in THREE:
    s3.create_bucket(Bucket=f"bucket-{n}")
    s3.put_object(Bucket=BUCKET, Key=n, Body=b"1")
    s3.put_object(Bucket=BUCKET, Key=n, Body=b"2")
    s3.delete_object(Bucket=BUCKET, Key=f"not-{n}")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="large")["UploadId"]
for n in range(1, 4):
    s3.upload_part(Bucket=BUCKET, Key="large", UploadId=upload, PartNumber=n, Body=b"x")

for n in range(101):
    topic = sns.create_topic(Name=f"topic-{n}", Tags=[{"Key": f"key-{n}", "Value": "v"}, {"Key": "all", "Value": f"value-{n}"}])["TopicArn"]
    sns.subscribe(TopicArn=topic if n < 50 else f"arn:aws:sns:{here}:topic-0", Protocol="https", Endpoint=f"https://example.org/{n}")
for n in THREE:
    ssm.put_parameter(Name=f"/path/{n}", Value="v", Type="String")
    ssm.put_parameter(Name="versions", Value=n, Type="String", Overwrite=True)
    client("secretsmanager").create_secret(Name=n, SecretString="s")
    logs.create_log_group(logGroupName=n)
    logs.create_log_stream(logGroupName="one", logStreamName=n)
    logs.put_log_events(logGroupName="one", logStreamName=n, logEvents=[{"timestamp": int(time.time() * 1000), "message": n}])
    events.put_rule(Name=n, EventPattern='{"source":["nobody"]}')
    events.put_targets(Rule=n, Targets=[{"Id": "same", "Arn": topic}])
    events.put_targets(Rule="one", Targets=[{"Id": n, "Arn": topic}])
    client("codestar-notifications").create_notification_rule(
        Name=n, DetailType="BASIC", Resource=f"arn:aws:codepipeline:{here}:{n}", EventTypeIds=["codepipeline-pipeline-pipeline-execution-failed"],
        Targets=[{"TargetType": "SNS", "TargetAddress": f"arn:aws:sns:{here}:topic-{THREE.index(n)}"}])
    client("cloudwatch").put_metric_alarm(AlarmName=n, Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
                                          ComparisonOperator="GreaterThanThreshold")
for n in range(600):
    if n % 300 == 0:
        client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": f"m{i}", "Value": 1} for i in range(n, n + 300)])

code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("index.py", "def handler(event, context):\n    return 1\n")
for n in THREE:
    functions.create_function(FunctionName=n, Role=role, Runtime="python3.13", Handler="index.handler", Code={"ZipFile": code.getvalue()})
for n in THREE:
    functions.update_function_configuration(FunctionName="one", Description=n)
    number = functions.publish_version(FunctionName="one")["Version"]
    functions.create_alias(FunctionName="one", Name=n, FunctionVersion=number)

commit = client("codecommit")
for n in THREE:
    commit.create_repository(repositoryName=n)
first = commit.create_commit(repositoryName="one", branchName="main", putFiles=[{"filePath": n, "fileContent": b"x"} for n in THREE])["commitId"]
for n in THREE:
    commit.create_branch(repositoryName="one", branchName=n, commitId=first)
builds = client("codebuild")
for n in range(101):
    builds.create_project(name=f"project-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"}, artifacts={"type": "NO_ARTIFACTS"},
                          serviceRole=role, environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"})
for _ in THREE:
    builds.start_build(projectName="project-0")

deploy = client("codedeploy")
for n in THREE:
    deploy.create_application(applicationName=n)
    deploy.create_deployment_group(applicationName="one", deploymentGroupName=n, serviceRoleArn=role, onPremisesInstanceTagFilters=[{"Key": "none", "Type": "KEY_ONLY"}])
    deploy.create_deployment_config(deploymentConfigName=n, minimumHealthyHosts={"type": "HOST_COUNT", "value": 1})
    deploy.register_application_revision(applicationName="one", revision={"revisionType": "S3", "s3Location": {"bucket": BUCKET, "key": n, "bundleType": "zip"}})
    deploy.register_on_premises_instance(instanceName=n, iamUserArn=f"arn:aws:iam::{ACCOUNT}:user/{n}")
    deployment = deploy.create_deployment(applicationName="one", deploymentGroupName=n, revision={
        "revisionType": "S3", "s3Location": {"bucket": BUCKET, "key": n, "bundleType": "zip"}})["deploymentId"]

worker_types("Pages")
for n in THREE:
    declared = definition(n, "Pages")
    declared["stages"][0]["actions"][0]["configuration"]["Project"] = n
    declared["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [
        {"name": r, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
         "configuration": {"Variable": "a", "Value": "a", "Operator": "EQ"}} for r in ("R1", "R2")]}]}
    cp.create_pipeline(pipeline=declared, tags=[{"key": k, "value": "v"} for k in THREE])
    cp.put_webhook(webhook={"name": n, "targetPipeline": n, "targetAction": "Fetch", "filters": [], "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {}})
source("Pages", project="one")
until("a build job", lambda: poll("Build", "Pages", "Compile"))
for _ in range(2):
    cp.start_pipeline_execution(name="one")
    source("Pages", project="one")
until("rules of three executions", lambda: len(cp.list_rule_executions(pipelineName="one")["ruleExecutionDetails"]) >= 2)

# What the operations that need to be told what are told
now = datetime.now(timezone.utc)
# boto3 sends the time as whole seconds: all that was done until now was done before this.
over = now.replace(microsecond=0) + timedelta(seconds=1)
until("a second that is over", lambda: datetime.now(timezone.utc) > over)
ARGUMENTS = {
    "GetDifferences": {"repositoryName": "one", "afterCommitSpecifier": "main"}, "ListBranches": {"repositoryName": "one"}, "ListBuildsForProject": {"projectName": "project-0"},
    "ListAliases": {"FunctionName": "one"}, "ListVersionsByFunction": {"FunctionName": "one"}, "DescribeLogStreams": {"logGroupName": "one"}, "FilterLogEvents": {"logGroupName": "one"},
    "ListActionExecutions": {"pipelineName": "one"}, "ListPipelineExecutions": {"pipelineName": "one"}, "ListRuleExecutions": {"pipelineName": "one"},
    "codepipeline.ListTagsForResource": {"resourceArn": f"arn:aws:codepipeline:{here}:one"}, "ListRuleNamesByTarget": {"TargetArn": topic}, "ListTargetsByRule": {"Rule": "one"},
    "ListSubscriptionsByTopic": {"TopicArn": f"arn:aws:sns:{here}:topic-0"}, "GetParameterHistory": {"Name": "versions"}, "GetParametersByPath": {"Path": "/path"},
    "ListAccessKeys": {"UserName": "one"}, "ListAttachedRolePolicies": {"RoleName": "one"}, "ListAttachedUserPolicies": {"UserName": "one"}, "ListEntitiesForPolicy": {"PolicyArn": policies[0]},
    "ListInstanceProfilesForRole": {"RoleName": "one"}, "ListPolicyTags": {"PolicyArn": policies[0]}, "ListPolicyVersions": {"PolicyArn": policies[0]}, "ListRolePolicies": {"RoleName": "one"},
    "ListRoleTags": {"RoleName": "one"}, "ListUserPolicies": {"UserName": "one"}, "ListUserTags": {"UserName": "one"}, "GetTagValues": {"Key": "all"},
    "LookupEvents": {"EndTime": over},
    "GetMetricData": {"StartTime": now - timedelta(hours=1), "EndTime": now, "MetricDataQueries": [
        {"Id": f"q{i}", "MetricStat": {"Metric": {"Namespace": "n", "MetricName": f"m{i}"}, "Period": 60, "Stat": "Sum"}} for i in range(3)]},
    "ListApplicationRevisions": {"applicationName": "one"}, "ListDeploymentGroups": {"applicationName": "one"},
    "ListDeploymentInstances": {"deploymentId": deployment}, "ListDeploymentTargets": {"deploymentId": deployment},
    "ListMultipartUploads": {"Bucket": BUCKET}, "ListObjectVersions": {"Bucket": BUCKET}, "ListObjects": {"Bucket": BUCKET}, "ListObjectsV2": {"Bucket": BUCKET},
    "ListParts": {"Bucket": BUCKET, "Key": "large", "UploadId": upload},
}
# Nothing of it is here, or all of it is on one page as AWS's
FEW = {"ListInstanceProfilesForRole", "ListDeployActionExecutionTargets", "ListDeploymentInstances", "ListDeploymentTargets"}
ONE_PAGE = {"codepipeline.ListTagsForResource"}
# The least that must come where the size of pages is fixed
LEAST = {"sns.ListTopics": 101, "ListSubscriptions": 101, "ListSubscriptionsByTopic": 51, "ListProjects": 101, "ListMetrics": 600, "GetTagKeys": 101, "GetTagValues": 101}


wrong = []


def expect(ok, *what):
    if not ok:
        wrong.append(what)


def texts(paginator, pages):
    return [json.dumps(item, default=str, sort_keys=True) for page in pages for key in paginator.result_keys for item in key.search(page) or []]


def check(room, c, operation, again=5):
    paginator = c.get_paginator(method_of[operation])
    pages = paginator.paginate(**ARGUMENTS.get(f"{room}.{operation}", ARGUMENTS.get(operation, {})))
    kept = list(pages)
    whole = texts(pages, kept)
    least = LEAST.get(f"{room}.{operation}", LEAST.get(operation, 0 if operation in FEW else 2))
    expect(len(whole) == len(set(whole)) >= least, room, operation, len(whole), len(set(whole)))
    if paginator._limit_key is None or operation == "GetMetricData":  # the size of pages is the server's; data come on one
        return
    sized = paginator.paginate(**ARGUMENTS.get(f"{room}.{operation}", ARGUMENTS.get(operation, {})), PaginationConfig={"PageSize": 1})
    small = list(sized)
    if again and sorted(texts(sized, small)) != sorted(whole):  # what came of the calls before was still written down
        return check(room, c, operation, again - 1)
    expect(sorted(texts(sized, small)) == sorted(whole), room, operation, len(whole), len(texts(sized, small)))
    if f"{room}.{operation}" not in ONE_PAGE and operation not in ONE_PAGE:
        expect(len(small) >= len(whole), room, operation, "pages", len(small), len(whole))


waits = {
    "function_active": {"FunctionName": "one"}, "function_active_v2": {"FunctionName": "one"}, "function_exists": {"FunctionName": "one"}, "function_updated": {"FunctionName": "one"},
    "function_updated_v2": {"FunctionName": "one"}, "published_version_active": {"FunctionName": "one", "Qualifier": "1"}, "policy_exists": {"PolicyArn": policies[0]},
    "role_exists": {"RoleName": "one"}, "user_exists": {"UserName": "one"}, "alarm_exists": {"AlarmNames": ["one"]}, "bucket_exists": {"Bucket": BUCKET},
    "bucket_not_exists": {"Bucket": "none"}, "object_exists": {"Bucket": BUCKET, "Key": "one"}, "object_not_exists": {"Bucket": BUCKET, "Key": "none"},
    "composite_alarm_exists": None,  # there are none here
    "deployment_successful": None,  # there is no host
}
with refused("ActionExecutionNotFoundException"):
    cp.list_deploy_action_execution_targets(actionExecutionId="none")
checked = 0
for room, operations in offered().items():
    if room in AGENTS:
        continue
    c = client(ROOMS.get(room, room))
    method_of = {op: method for method, op in c.meta.method_to_api_mapping.items()}
    for operation in sorted(operations):
        if operation in method_of and c.can_paginate(method_of[operation]) and operation != "ListDeployActionExecutionTargets":
            check(room, c, operation)
            checked += 1
    for name in c.waiter_names:
        waiter = c.get_waiter(name)
        if waiter.config.operation in operations and waits[name] is not None:
            waiter.wait(**waits[name], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
            checked += 1
assert checked > 70 and not wrong, (checked, wrong)

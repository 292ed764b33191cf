"""What an update says nothing about stays, and an empty text takes the old one away: N-2, N-10, N-14, N-16, N-17."""
import io
import json
import zipfile

from world import *

iam, builds, functions, events, secrets, ssm = (client(n) for n in ("iam", "codebuild", "lambda", "events", "secretsmanager", "ssm"))
trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["codebuild.amazonaws.com", "lambda.amazonaws.com"]}}]})
role = iam.create_role(RoleName="updated", AssumeRolePolicyDocument=trust, Description="old")["Role"]["Arn"]
builds.create_project(name="updated", description="old", sourceVersion="old", source={"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
                      artifacts={"type": "NO_ARTIFACTS"}, serviceRole=role, environment={"type": "LINUX_CONTAINER", "image": "any", "computeType": "BUILD_GENERAL1_SMALL"})
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as z:
    z.writestr("bootstrap", "#!/bin/sh\n")
functions.create_function(FunctionName="updated", Role=role, Runtime="provided.al2023", Handler="any", Code={"ZipFile": code.getvalue()}, Description="old")
functions.create_alias(FunctionName="updated", Name="live", FunctionVersion=functions.publish_version(FunctionName="updated")["Version"], Description="old")
connection = events.create_connection(Name="updated", AuthorizationType="API_KEY", Description="old",
                                      AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v"}})["ConnectionArn"]
events.create_api_destination(Name="updated", ConnectionArn=connection, InvocationEndpoint="https://example.org/", HttpMethod="POST", Description="old")
secrets.create_secret(Name="updated", SecretString="v", Description="old")
ssm.put_parameter(Name="updated", Value="v", Type="String", Description="old")


def check(update, read):
    """Update something else, then the description, and look at what read shows of it."""
    update()
    assert read() == ["old"], read()
    update(Description="")
    assert read() == [], read()


def texts(answer, *names):
    return [answer[n] for n in names if answer.get(n)]


def project(**changes):
    if changes:
        changes = {"description": "", "sourceVersion": ""}
    builds.update_project(name="updated", timeoutInMinutes=7, **changes)


check(lambda **more: iam.update_role(RoleName="updated", MaxSessionDuration=7200, **more), lambda: texts(iam.get_role(RoleName="updated")["Role"], "Description"))
check(project, lambda: sorted({*texts(builds.batch_get_projects(names=["updated"])["projects"][0], "description", "sourceVersion")}))
check(lambda **more: functions.update_function_configuration(FunctionName="updated", Timeout=7, **more),
      lambda: texts(functions.get_function_configuration(FunctionName="updated"), "Description"))
check(lambda **more: functions.update_alias(FunctionName="updated", Name="live", FunctionVersion="1", **more),
      lambda: texts(functions.get_alias(FunctionName="updated", Name="live"), "Description"))
check(lambda **more: events.update_connection(Name="updated", AuthorizationType="API_KEY", **more), lambda: texts(events.describe_connection(Name="updated"), "Description"))
check(lambda **more: events.update_api_destination(Name="updated", HttpMethod="PUT", **more), lambda: texts(events.describe_api_destination(Name="updated"), "Description"))
check(lambda **more: secrets.update_secret(SecretId="updated", SecretString="w", **more), lambda: texts(secrets.describe_secret(SecretId="updated"), "Description"))
check(lambda **more: ssm.put_parameter(Name="updated", Value="w", Overwrite=True, **more),
      lambda: texts(ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["updated"]}])["Parameters"][0], "Description"))

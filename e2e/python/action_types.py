"""Action and rule types (A-3, A-5, A-11, A-18, A-23, A-43)."""
from world import *

P = "BotoTypes"
worker_types(P)
worker_types(P)  # the same again
custom = [t for page in cp.get_paginator("list_action_types").paginate(actionOwnerFilter="Custom") for t in page["actionTypes"]]
mine = [t for t in custom if t["id"]["provider"] == P]
assert [t["id"]["category"] for t in mine] == ["Build", "Deploy", "Source"], show(mine)
assert "type" not in mine[0]["actionConfigurationProperties"][0], show(mine[0])
everything = cp.list_action_types()["actionTypes"]
ids = {(t["id"]["owner"], t["id"]["category"], t["id"]["provider"]) for t in everything}
assert {("AWS", "Source", "CodeCommit"), ("AWS", "Build", "CodeBuild"), ("AWS", "Approval", "Manual"), ("AWS", "Deploy", "S3")} <= ids, ids
with refused("ValidationException", "Maximum Number of Artifacts (0) has to be greater than or equal to minimum (1)."):
    cp.create_custom_action_type(category="Test", provider=P, version="1", inputArtifactDetails={"minimumCount": 1, "maximumCount": 0},
                                 outputArtifactDetails={"minimumCount": 0, "maximumCount": 0})
for _ in range(2):
    cp.delete_custom_action_type(category="Deploy", provider=P, version="1")
with refused("ActionTypeNotFoundException"):
    poll("Deploy", P, "x")
arn = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:actiontype:Custom/Build/{P}/1"
cp.tag_resource(resourceArn=arn, tags=[{"key": "team", "value": "green"}])
assert cp.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "team", "value": "green"}]

rules = {r["id"]["provider"]: r for r in cp.list_rule_types(ruleOwnerFilter="AWS")["ruleTypes"]}
assert {"VariableCheck", "DeploymentWindow", "CodeBuild", "Commands", "LambdaInvoke", "CloudWatchAlarm"} <= set(rules), set(rules)
assert [p["name"] for p in rules["VariableCheck"]["ruleConfigurationProperties"]], show(rules["VariableCheck"])

with refused("ActionTypeNotFoundException"):
    cp.get_action_type(category="Deploy", owner="ThirdParty", provider="BotoForge", version="1")
cp.update_action_type(actionType={
    "id": {"category": "Deploy", "owner": "ThirdParty", "provider": "BotoForge", "version": "1"},
    "executor": {"type": "JobWorker", "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": [ACCOUNT]}}},
    "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1}, "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0}})
forge = cp.get_action_type(category="Deploy", owner="ThirdParty", provider="BotoForge", version="1")["actionType"]
assert forge["executor"]["type"] == "JobWorker" and forge["inputArtifactDetails"]["maximumCount"] == 1, show(forge)
with refused("ValidationException"):
    cp.get_action_type(category="Deploy", owner="Custom", provider=P, version="1")

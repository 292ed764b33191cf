"""Executions (A-14, A-15, A-17, A-19, A-20, A-22, A-26, A-37..A-40, C-3, C-5, C-6)."""
from world import *

P = "BotoExecutions"
worker_types(P)
cp.create_pipeline(pipeline=definition("runs", P, variables=[{"name": "color", "defaultValue": "red"}]))
source(P, revision="r0")
fail("Build", P, "Compile")
first = stage("runs", "Build")["latestExecution"]["pipelineExecutionId"]
ended("runs", first, "Failed")

# A retry keeps the execution and gives the failed action another run.
assert cp.retry_stage_execution(pipelineName="runs", stageName="Build", pipelineExecutionId=first, retryMode="FAILED_ACTIONS")["pipelineExecutionId"] == first
succeed("Build", P, "Compile")
approve("runs")
succeed("Deploy", P, "Publish")
ended("runs", first, "Succeeded")
with refused("StageNotRetryableException"):
    cp.retry_stage_execution(pipelineName="runs", stageName="Release", pipelineExecutionId=first, retryMode="ALL_ACTIONS")
runs = [(d["actionName"], d["status"]) for d in cp.list_action_executions(pipelineName="runs", filter={"pipelineExecutionId": first})["actionExecutionDetails"]]
assert runs == [("Publish", "Succeeded"), ("Approve", "Succeeded"), ("Compile", "Succeeded"), ("Compile", "Failed"), ("Fetch", "Succeeded")], runs
one = cp.list_action_executions(pipelineName="runs")["actionExecutionDetails"][0]["actionExecutionId"]
assert [t for page in cp.get_paginator("list_deploy_action_execution_targets").paginate(pipelineName="runs", actionExecutionId=one) for t in page["targets"]] == []
with refused("ActionExecutionNotFoundException"):
    cp.list_deploy_action_execution_targets(actionExecutionId="00000000-0000-4000-8000-000000000000")

# Variables, tokens and revisions of a start
second = cp.start_pipeline_execution(name="runs", variables=[{"name": "color", "value": "blue"}], clientRequestToken="t-1")["pipelineExecutionId"]
assert cp.start_pipeline_execution(name="runs", variables=[{"name": "color", "value": "blue"}], clientRequestToken="t-1")["pipelineExecutionId"] == second
with refused("ConflictException"):
    cp.start_pipeline_execution(name="runs", clientRequestToken="t-1")
with refused("ValidationException"):
    cp.start_pipeline_execution(name="runs", variables=[{"name": "size", "value": "big"}])
with refused("ValidationException"):
    cp.start_pipeline_execution(name="runs", sourceRevisions=[{"actionName": "Compile", "revisionType": "COMMIT_ID", "revisionValue": "x"}])
details = cp.get_pipeline_execution(pipelineName="runs", pipelineExecutionId=second)["pipelineExecution"]
assert details["variables"] == [{"name": "color", "resolvedValue": "blue"}] and details["trigger"]["triggerType"] == "StartPipelineExecution", show(details)

# Stop while the source runs: the action may end, nothing else begins.
cp.stop_pipeline_execution(pipelineName="runs", pipelineExecutionId=second, abandon=False, reason="wrong color")
with refused("DuplicatedStopRequestException"):
    cp.stop_pipeline_execution(pipelineName="runs", pipelineExecutionId=second, abandon=False)
source(P, revision="r1")
ended("runs", second, "Stopped")
summary = cp.list_pipeline_executions(pipelineName="runs", maxResults=1)["pipelineExecutionSummaries"][0]
assert summary["pipelineExecutionId"] == second and summary["stopTrigger"] == {"reason": "wrong color"}, show(summary)
with refused("PipelineExecutionNotStoppableException"):
    cp.stop_pipeline_execution(pipelineName="runs", pipelineExecutionId=second, abandon=True)

# A rollback is a new execution of the stage, with what the target had there.
with refused("UnableToRollbackStageException"):
    cp.rollback_stage(pipelineName="runs", stageName="Release", targetPipelineExecutionId=second)
back = cp.rollback_stage(pipelineName="runs", stageName="Release", targetPipelineExecutionId=first)["pipelineExecutionId"]
approve("runs")
job = succeed("Deploy", P, "Publish")
ended("runs", back, "Succeeded")
details = cp.get_pipeline_execution(pipelineName="runs", pipelineExecutionId=back)["pipelineExecution"]
assert details["executionType"] == "ROLLBACK" and details["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": first}, show(details)

# Pages: neither twice nor left out, and the filter narrows.
ids = [s["pipelineExecutionId"] for page in cp.get_paginator("list_pipeline_executions").paginate(pipelineName="runs", PaginationConfig={"PageSize": 1})
       for s in page["pipelineExecutionSummaries"]]
assert ids == [back, second, first], ids
built = cp.list_pipeline_executions(pipelineName="runs", filter={"succeededInStage": {"stageName": "Build"}})["pipelineExecutionSummaries"]
assert [s["pipelineExecutionId"] for s in built] == [first], show(built)
numbers = [d["actionExecutionId"] for page in cp.get_paginator("list_action_executions").paginate(pipelineName="runs", PaginationConfig={"PageSize": 2})
           for d in page["actionExecutionDetails"]]
assert len(numbers) == len(set(numbers)) == 8, numbers

# A condition that is not met, and overridden
gated = definition("gated", P, variables=[{"name": "color", "defaultValue": "red"}])
gated["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [
    {"name": "Blue", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
     "configuration": {"Variable": "#{variables.color}", "Value": "blue", "Operator": "EQ"}}]}]}
cp.create_pipeline(pipeline=gated)
source(P)
execution = until("the condition", lambda: stage("gated", "Build").get("latestExecution", {}).get("pipelineExecutionId"))
ended("gated", execution, "Failed")
rules = [r for page in cp.get_paginator("list_rule_executions").paginate(pipelineName="gated") for r in page["ruleExecutionDetails"]]
assert [(r["ruleName"], r["status"]) for r in rules] == [("Blue", "Failed")], show(rules)
with refused("ConditionNotOverridableException"):
    cp.override_stage_condition(pipelineName="gated", stageName="Build", pipelineExecutionId=execution, conditionType="ON_SUCCESS")
cp.override_stage_condition(pipelineName="gated", stageName="Build", pipelineExecutionId=execution, conditionType="BEFORE_ENTRY")
succeed("Build", P, "Compile")
for name in ("runs", "gated"):
    cp.delete_pipeline(name=name)

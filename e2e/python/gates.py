"""Approvals, transitions and revisions of custom sources (A-9, A-10, A-29, A-30)."""
import datetime

from world import *

P = "BotoGates"
worker_types(P)
cp.create_pipeline(pipeline=definition("gates", P))
with refused("StageNotFoundException"):
    cp.disable_stage_transition(pipelineName="gates", stageName="Nowhere", transitionType="Inbound", reason="freeze")
with refused("ValidationException", "Value at 'reason' failed to satisfy constraint: Member must satisfy regular expression pattern"):
    cp.disable_stage_transition(pipelineName="gates", stageName="Build", transitionType="Inbound", reason="see: the page")
cp.disable_stage_transition(pipelineName="gates", stageName="Build", transitionType="Inbound", reason="freeze (until Monday)")
source(P)
waiting = until("an execution at the gate", lambda: stage("gates", "Build").get("inboundExecution"))
gate = stage("gates", "Build")["inboundTransitionState"]
assert not gate["enabled"] and gate["disabledReason"] == "freeze (until Monday)" and gate["lastChangedBy"].endswith(":user/administrator"), show(gate)
assert poll("Build", P, "Compile") == []
cp.enable_stage_transition(pipelineName="gates", stageName="Build", transitionType="Inbound")
succeed("Build", P, "Compile")

until("the approval", lambda: "token" in stage("gates", "Release")["actionStates"][0].get("latestExecution", {}))
with refused("InvalidApprovalTokenException"):
    cp.put_approval_result(pipelineName="gates", stageName="Release", actionName="Approve", token="00000000-0000-4000-8000-000000000000",
                           result={"summary": "", "status": "Approved"})
assert abs((approve("gates") - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 300
state = stage("gates", "Release")["actionStates"][0]["latestExecution"]
assert state["summary"] == "read it" and state["lastUpdatedBy"].endswith(":user/administrator"), show(state)
succeed("Deploy", P, "Publish")
ended("gates", waiting["pipelineExecutionId"], "Succeeded")

revision = {"revisionId": "r7", "revisionChangeId": "c7", "created": datetime.datetime.now(datetime.timezone.utc)}
new = cp.put_action_revision(pipelineName="gates", stageName="Source", actionName="Fetch", actionRevision=revision)
assert new["newRevision"], show(new)
again = cp.put_action_revision(pipelineName="gates", stageName="Source", actionName="Fetch", actionRevision=revision)
assert not again["newRevision"] and again["pipelineExecutionId"] == new["pipelineExecutionId"], show(again)
with refused("ActionNotFoundException"):
    cp.put_action_revision(pipelineName="gates", stageName="Source", actionName="Nothing", actionRevision=revision)
cp.delete_pipeline(name="gates")

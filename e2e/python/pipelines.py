"""Definitions and tags (A-4, A-6, A-13, A-21, A-24, A-41, A-42, A-44, C-4, C-7)."""
from world import *

P = "BotoPipelines"
worker_types(P)
made = cp.create_pipeline(pipeline=definition("defs-a", P), tags=[{"key": "team", "value": "green"}])
assert made["pipeline"]["version"] == 1 and made["tags"] == [{"key": "team", "value": "green"}], show(made)
with refused("PipelineNameInUseException", "A pipeline with the name 'defs-a' already exists"):
    cp.create_pipeline(pipeline=definition("defs-a", P))
with refused("InvalidStructureException", "There should be a minimum of 2 stages"):
    cp.create_pipeline(pipeline={**definition("defs-b", P), "stages": definition("x", P)["stages"][:1]})
with refused("ValidationException", "2 validation errors detected: Value at 'pipeline."):
    cp.create_pipeline(pipeline={**definition("no good", P), "executionMode": "QUICK"})

source(P)  # the execution that the creation started

# What was read is taken back, and what update prints is too (C-4).
got = cp.get_pipeline(name="defs-a")
assert got["metadata"]["pipelineArn"] == f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:defs-a", show(got)
assert got["pipeline"] == made["pipeline"], show(got)
first = cp.update_pipeline(pipeline=got["pipeline"])["pipeline"]
second = cp.update_pipeline(pipeline=first)["pipeline"]
assert (first["version"], second["version"]) == (2, 3)
assert {**second, "version": 1} == got["pipeline"], show(second)
assert cp.get_pipeline(name="defs-a", version=2)["pipeline"]["version"] == 2
with refused("PipelineVersionNotFoundException"):
    cp.get_pipeline(name="defs-a", version=9)
with refused("PipelineNotFoundException", "does not have a pipeline with name 'defs-x'"):
    cp.update_pipeline(pipeline=definition("defs-x", P))

# A secret is masked, and the mask sent back keeps it.
secret = definition("defs-a", P)
secret["stages"][0]["actions"][0]["configuration"]["Password"] = "hunter2"
cp.update_pipeline(pipeline=secret)
masked = cp.get_pipeline(name="defs-a")["pipeline"]
assert masked["stages"][0]["actions"][0]["configuration"]["Password"] == "****"
cp.update_pipeline(pipeline=masked)
cp.start_pipeline_execution(name="defs-a")
assert take("Source", P, "Fetch")["data"]["actionConfiguration"]["configuration"]["Password"] == "hunter2"

# Pages
for i in range(5):
    cp.create_pipeline(pipeline=definition(f"defs-p{i}", P))
names = [p["name"] for page in cp.get_paginator("list_pipelines").paginate(PaginationConfig={"PageSize": 2}) for p in page["pipelines"]]
assert names == sorted(names) and {f"defs-p{i}" for i in range(5)} <= set(names) and len(set(names)) == len(names), names
with refused("InvalidNextTokenException"):
    cp.list_pipelines(nextToken="nothing of the kind")

# Tags
arn = got["metadata"]["pipelineArn"]
cp.tag_resource(resourceArn=arn, tags=[{"key": "stage", "value": "one"}, {"key": "team", "value": "blue"}])
cp.untag_resource(resourceArn=arn, tagKeys=["stage", "never"])
tags = [t for page in cp.get_paginator("list_tags_for_resource").paginate(resourceArn=arn) for t in page["tags"]]
assert tags == [{"key": "team", "value": "blue"}], tags
with refused("ResourceNotFoundException", "does not include a pipeline with the name 'nobody'"):
    cp.list_tags_for_resource(resourceArn=arn.replace("defs-a", "nobody"))
with refused("InvalidArnException"):
    cp.tag_resource(resourceArn=arn + "/Source", tags=[{"key": "a", "value": "b"}])

for name in ["defs-a", "defs-a"] + [f"defs-p{i}" for i in range(5)]:
    answer = cp.delete_pipeline(name=name)  # the second time it is gone
    assert set(answer) == {"ResponseMetadata"}, answer

"""Webhooks (A-7, A-8, A-25, A-35, A-36, C-17)."""
import hashlib
import hmac
import json
import urllib.error
import urllib.request

from world import *

P = "BotoWebhooks"
worker_types(P)
cp.create_pipeline(pipeline=definition("hooked", P))


def webhook(name, **more):
    return {"name": name, "targetPipeline": "hooked", "targetAction": "Fetch", "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
            "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "s3cr3t&x"}, **more}


def post(url, body, secret="s3cr3t&x"):
    body = json.dumps(body).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


made = cp.put_webhook(webhook=webhook("hook"), tags=[{"key": "team", "value": "green"}])["webhook"]
assert made["tags"] == [{"key": "team", "value": "green"}] and made["definition"]["authenticationConfiguration"]["SecretToken"] == "****", show(made)
again = cp.put_webhook(webhook=webhook("hook", filters=[]))["webhook"]
assert again["url"] == made["url"] and again["arn"] == made["arn"], show(again)
cp.put_webhook(webhook=webhook("hook"))
with refused("InvalidWebhookAuthenticationParametersException"):
    cp.put_webhook(webhook=webhook("bad", authenticationConfiguration={"AllowedIPRange": "10.0.0.0/8"}))
with refused("InvalidWebhookFilterPatternException"):
    cp.put_webhook(webhook=webhook("bad", filters=[{"jsonPath": "$..[?(@.x)]", "matchEquals": "y"}]))
with refused("PipelineNotFoundException"):
    cp.put_webhook(webhook=webhook("bad", targetPipeline="nobody"))
with refused("WebhookNotFoundException"):
    cp.register_webhook_with_third_party(webhookName="nobody")
cp.deregister_webhook_with_third_party(webhookName="hook")  # never registered

for i in range(3):
    cp.put_webhook(webhook=webhook(f"hook-{i}", authentication="UNAUTHENTICATED", authenticationConfiguration={}))
names = [w["definition"]["name"] for page in cp.get_paginator("list_webhooks").paginate(PaginationConfig={"PageSize": 2}) for w in page["webhooks"]]
assert names == sorted(names) and {"hook", "hook-0", "hook-1", "hook-2"} <= set(names), names

before = len(cp.list_pipeline_executions(pipelineName="hooked")["pipelineExecutionSummaries"])
assert post(made["url"], {"ref": "refs/heads/main"}, secret="guess") == 403
assert post(made["url"], {"ref": "refs/heads/other"}) == 200
assert len(cp.list_pipeline_executions(pipelineName="hooked")["pipelineExecutionSummaries"]) == before
assert post(made["url"], {"ref": "refs/heads/main"}) == 200
newest = cp.list_pipeline_executions(pipelineName="hooked")["pipelineExecutionSummaries"]
assert len(newest) == before + 1 and newest[0]["trigger"] == {"triggerType": "Webhook", "triggerDetail": made["arn"]}, show(newest)
for name in ("hook", "hook", "hook-0", "hook-1", "hook-2"):
    cp.delete_webhook(name=name)
assert post(made["url"], {"ref": "refs/heads/main"}) == 404
cp.delete_pipeline(name="hooked")

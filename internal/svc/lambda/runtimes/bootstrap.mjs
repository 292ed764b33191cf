// Runs a Node.js handler: asks the Runtime API for one invocation after the other.
import http from "node:http";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const env = process.env;
const [host, port, mark] = env.AWS_LAMBDA_RUNTIME_API.split(/[:/]/);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, what, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const options = { host, port, method, agent, path: `/${mark}/2018-06-01/runtime/${what}`, headers };
    if (body !== undefined) options.headers = { ...headers, "Content-Length": Buffer.byteLength(body) };
    const request = http.request(options, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts).toString() }));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

function described(error, kind) {
  const known = error instanceof Error;
  return {
    errorType: kind || (known ? error.name : typeof error),
    errorMessage: known ? error.message : String(error),
    trace: known && error.stack ? error.stack.split("\n") : [],
  };
}

async function report(what, error) {
  console.error("ERROR\t" + JSON.stringify(error));
  await call("POST", what, JSON.stringify(error), { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": error.errorType });
}

async function load() {
  const name = env._HANDLER;
  const dot = name.lastIndexOf(".");
  if (dot < 1) throw ["Runtime.MalformedHandlerName", `Bad handler '${name}'`];
  const file = path.resolve(env.LAMBDA_TASK_ROOT, name.slice(0, dot));
  const found = ["", ".js", ".mjs", ".cjs"].map((end) => file + end).find((f) => fs.existsSync(f) && fs.statSync(f).isFile());
  if (!found) throw ["Runtime.ImportModuleError", `Error: Cannot find module '${name.slice(0, dot)}'`];
  const loaded = await import(pathToFileURL(found).href);
  const key = name.slice(dot + 1);
  const handler = loaded[key] ?? loaded.default?.[key];
  if (typeof handler !== "function") throw ["Runtime.HandlerNotFound", `${name} is undefined or not exported`];
  return handler;
}

function contextOf(headers, done) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const client = headers["lambda-runtime-client-context"];
  return {
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: client ? JSON.parse(client) : undefined,
    identity: undefined,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    done: (error, result) => done(error, result),
    fail: (error) => done(error ?? "null"),
    succeed: (result) => done(null, result),
  };
}

function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => (error ? reject(error) : resolve(result));
    const returned = handler(event, contextOf(headers, done), done);
    if (returned && typeof returned.then === "function") returned.then(resolve, reject);
    else if (handler.length < 3 && returned !== undefined) resolve(returned);
  });
}

let handler;
try {
  handler = await load();
} catch (error) {
  const [kind, text] = Array.isArray(error) ? error : [undefined, undefined];
  await report("init/error", kind ? described(new Error(text), kind) : described(error));
  process.exit(1);
}
for (;;) {
  const next = await call("GET", "invocation/next");
  if (next.status !== 200) process.exit(1);
  const what = "invocation/" + next.headers["lambda-runtime-aws-request-id"];
  try {
    const result = await run(handler, JSON.parse(next.body || "{}"), next.headers);
    await call("POST", what + "/response", JSON.stringify(result === undefined ? null : result), { "Content-Type": "application/json" });
  } catch (error) {
    await report(what + "/error", described(error));
  }
}

# Runs a Python handler: asks the Runtime API for one invocation after the other.
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback

HOST, _, MARK = os.environ["AWS_LAMBDA_RUNTIME_API"].partition("/")
BASE = f"/{MARK}/2018-06-01/runtime/"


class Context:
    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        client = headers.get("Lambda-Runtime-Client-Context")
        if client:
            self.client_context = json.loads(client)
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, text):
        sys.stdout.write(str(text))


class Formatter(logging.Formatter):
    request = ""
    converter = time.gmtime

    def format(self, record):
        record.aws_request_id = Formatter.request
        return super().format(record)


def start_logging():
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.root.addHandler(handler)


connection = http.client.HTTPConnection(HOST)


def call(method, path, body=None, headers={}):
    connection.request(method, BASE + path, body, headers)
    answer = connection.getresponse()
    return answer, answer.read()


def described(error, kind=None):
    return {
        "errorMessage": str(error),
        "errorType": kind or type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__) if error.__traceback__ else [],
    }


def report(path, what):
    print("[ERROR] %s: %s\n%s" % (what["errorType"], what["errorMessage"], "".join(what.get("stackTrace", []))), end="", flush=True)
    call("POST", path, json.dumps(what).encode(), {"Lambda-Runtime-Function-Error-Type": what["errorType"], "Content-Type": "application/json"})


def load():
    name = os.environ["_HANDLER"]
    module, dot, function = name.rpartition(".")
    if not dot or not module:
        raise LookupError("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as e:
        raise LookupError("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, e)) from e
    if not hasattr(loaded, function):
        raise LookupError("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module))
    return getattr(loaded, function)


def main():
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    start_logging()
    try:
        handler = load()
    except LookupError as e:
        kind, text = e.args if len(e.args) == 2 else (type(e).__name__, str(e))
        report("init/error", described(Exception(text), kind))
        sys.exit(1)
    except BaseException as e:
        report("init/error", described(e, "Runtime.UserCodeSyntaxError" if isinstance(e, SyntaxError) else None))
        sys.exit(1)
    while True:
        answer, event = call("GET", "invocation/next")
        if answer.status != 200:
            sys.exit(1)
        context = Context(answer.headers)
        Formatter.request = context.aws_request_id
        path = "invocation/" + context.aws_request_id
        try:
            result = handler(json.loads(event or b"{}"), context)
        except Exception as e:
            sys.stdout.flush()
            report(path + "/error", described(e))
            continue
        try:
            body = json.dumps(result, ensure_ascii=False).encode()
        except (TypeError, ValueError) as e:
            report(path + "/error", described(Exception("Unable to marshal response: %s" % e), "Runtime.MarshalError"))
            continue
        sys.stdout.flush()
        sys.stderr.flush()
        call("POST", path + "/response", body, {"Content-Type": "application/json"})


main()
